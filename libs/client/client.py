"""The Python SDK: one method for each thing the REST API does, plain dicts as the API sends them."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import httpx
from httpx_sse import EventSource

from libs.client.errors import ApiError, Unreachable

Json = dict[str, Any]

TIMEOUT_S = 30.0
"""A write may wait this long for its broker; beyond, its outcome is unknown and a read tells."""


class Client:
    """A connection to one api. `key` is the API key; `base_url` has no `/v1`.

    Every method raises ApiError for an error answer and Unreachable when nobody answers.
    """

    def __init__(self, base_url: str, key: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=f"{self.base_url}/v1", headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Deployments

    def submit(self, config: Json, *, project_id: str = "default", deployment_id: str | None = None) -> str:
        """Create the deployment that `config` names, or update it; its id."""
        body: Json = {"config": config, "projectId": project_id}
        if deployment_id:
            body["deploymentId"] = deployment_id
        return str(self._call("POST", "/deployments", json=body)["deploymentId"])

    def deployments(self, *, project_id: str | None = None, name: str | None = None) -> Iterator[Json]:
        """Every deployment, newest first."""
        path = f"/projects/{project_id}/deployments" if project_id else "/deployments"
        yield from self._pages(path, name=name)

    def deployment(self, deployment_id: str, *, at: str | None = None) -> Json:
        """A deployment now, or `at` a time (RFC 3339) or a sequence."""
        return self._call("GET", f"/deployments/{deployment_id}", params=_given(at=at))

    def find(self, name_or_id: str, *, project_id: str) -> Json:
        """The deployment of that name in the project, else of that id."""
        for found in self.deployments(project_id=project_id, name=name_or_id):
            if found["name"] == name_or_id:
                return found
        return self.deployment(name_or_id)

    def delete(self, deployment_id: str) -> None:
        self._call("DELETE", f"/deployments/{deployment_id}")

    def rollback(self, deployment_id: str, spec_id: str) -> str:
        """Register an earlier spec again; the new spec's id."""
        answer = self._call("POST", f"/deployments/{deployment_id}/rollback", json={"specId": spec_id})
        return str(answer["specId"])

    def history(self, deployment_id: str) -> Iterator[Json]:
        """Every spec, newest first."""
        yield from self._pages(f"/deployments/{deployment_id}/history")

    def runs(self, deployment_id: str) -> list[Json]:
        """The runs that have or want replicas, with their instances."""
        return list(self._send("GET", f"/deployments/{deployment_id}/runs").json())

    def diff(self, deployment_id: str, *, before: str, after: str) -> list[Json]:
        """What differs between two specs: `{path, from, to}` each."""
        params = {"from": before, "to": after}
        return list(self._send("GET", f"/deployments/{deployment_id}/diff", params=params).json())

    def logs(
        self, deployment_id: str, *, instance_id: str | None = None, after: str | None = None
    ) -> Iterator[Json]:
        """What the replicas wrote, oldest first, up to now. `after` is the id of a line."""
        yield from self._pages(
            f"/deployments/{deployment_id}/logs", instanceId=instance_id, after=after, order="asc"
        )

    # Events

    def events(
        self, *, deployment_id: str | None = None, event_type: str | None = None, after: int = 0
    ) -> Iterator[Json]:
        """Every event after a sequence, ascending, up to now."""
        while True:
            params = _given(deploymentId=deployment_id, type=event_type, after=after, limit=1000)
            page = self._call("GET", "/events", params=params)
            yield from page["items"]
            if not page["hasMore"]:
                return
            after = page["items"][-1]["sequence"]

    def follow(
        self, *, deployment_id: str | None = None, event_type: str | None = None, after: int = 0
    ) -> Iterator[Json]:
        """Every event after a sequence, and then each new one as it happens. Takes up where it was cut."""
        while True:
            params = _given(deploymentId=deployment_id, type=event_type, after=after)
            request = self._http.build_request(
                "GET", "/events", params=params, headers={"accept": "text/event-stream"}, timeout=None
            )
            try:
                response = self._http.send(request, stream=True)
                try:
                    if response.is_error:
                        response.read()
                        raise _error(response)
                    for message in EventSource(response).iter_sse():
                        event: Json = message.json()
                        yield event
                        after = event["sequence"]
                finally:
                    response.close()
            except httpx.RemoteProtocolError:
                continue  # the api went away in the middle of the stream
            except httpx.TransportError as error:
                raise Unreachable(self.base_url, str(error)) from error

    # Projects, the platform, the log

    def projects(self) -> Iterator[Json]:
        yield from self._pages("/projects")

    def create_project(self, name: str) -> Json:
        return self._call("POST", "/projects", json={"name": name})

    def health(self) -> str:
        """`HEALTHY`; an ApiError whose details name what is not ready otherwise."""
        return str(self._send("GET", "/health").json())

    def verify_log(self) -> Json:
        return self._call("GET", "/log/verify", timeout=600.0)

    def export_log(self) -> Iterator[bytes]:
        """The whole log, as lines of JSON."""
        with self._http.stream("GET", "/log/export", timeout=600.0) as response:
            if response.is_error:
                response.read()
                raise _error(response)
            yield from response.iter_bytes()

    def import_log(self, content: Iterable[bytes]) -> Json:
        """Fill an empty log with an export."""
        return self._call("POST", "/log/import", content=content, timeout=600.0)

    # How a call is made

    def _pages(self, path: str, **params: Any) -> Iterator[Json]:
        while True:
            page = self._call("GET", path, params=_given(limit=120, **params))
            yield from page["items"]
            if not page.get("hasMore"):
                return
            params["after"] = page["nextPage"]

    def _call(self, method: str, path: str, **how: Any) -> Json:
        answer: Json = self._send(method, path, **how).json()
        return answer

    def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **how)
        except httpx.TransportError as error:
            raise Unreachable(self.base_url, str(error)) from error
        if response.is_error:
            raise _error(response)
        return response


def _given(**params: Any) -> Json:
    return {name: value for name, value in params.items() if value is not None}


def _error(response: httpx.Response) -> ApiError:
    try:
        body = response.json()
    except ValueError:
        body = None
    return ApiError(
        response.status_code, body if isinstance(body, dict) else {"message": response.text[:200]}
    )
