"""The Python SDK: one method for each thing the REST API does, plain dicts as the API sends them."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from itertools import islice
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from httpx_sse import EventSource

from libs.client.errors import ApiError, ClientError, Unreachable
from libs.common.clock import monotonic

Json = dict[str, Any]

TIMEOUT_S = 30.0
"""A write may wait this long for its broker; beyond, its outcome is unknown and a read tells."""

PAGE = 120
"""Items of one answer; the API gives no more."""

TRIAL_S = 120.0
"""For so long a policy may be tried: weeks of minutes, and others before it."""

AWAY_S = 60.0
"""For so long a stream that was cut waits for the api to come back."""

RECONNECT_S = 0.5


class Client:
    """A connection to one api. `key` is the API key; `base_url` has no `/v1`; `transport` is httpx's.

    Every method raises ApiError for an error answer and Unreachable when nobody answers.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(
            base_url=f"{self.base_url}/v1",
            headers=headers,
            timeout=timeout_s,
            transport=transport,
            # To read the certificates of the world takes longer than most calls, which have none to check.
            verify=not self.base_url.startswith("http:"),
            # A proxy of the environment reaches other machines; its own loopback is not ours.
            trust_env=not _is_loopback(self.base_url),
        )

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
        if deployment_id is not None:
            body["deploymentId"] = deployment_id
        return str(self._call("POST", "/deployments", json=body)["deploymentId"])

    def deployments(self, *, project_id: str | None = None, name: str | None = None) -> Iterator[Json]:
        """Every deployment, newest first; `name`, which needs a project, keeps those of like names."""
        path = f"/projects/{_segment(project_id)}/deployments" if project_id is not None else "/deployments"
        yield from self._pages(path, name=name)

    def deployment(self, deployment_id: str, *, at: str | None = None) -> Json:
        """A deployment now, or `at` a time (RFC 3339) or a sequence."""
        return self._call("GET", f"/deployments/{_segment(deployment_id)}", params=_given(at=at))

    def delete(self, deployment_id: str) -> None:
        self._call("DELETE", f"/deployments/{_segment(deployment_id)}")

    def rollback(self, deployment_id: str, spec_id: str) -> str:
        """Register an earlier spec again; the new spec's id."""
        answer = self._call(
            "POST", f"/deployments/{_segment(deployment_id)}/rollback", json={"specId": spec_id}
        )
        return str(answer["specId"])

    def history(self, deployment_id: str) -> Iterator[Json]:
        """Every spec, newest first."""
        yield from self._pages(f"/deployments/{_segment(deployment_id)}/history")

    def runs(self, deployment_id: str) -> list[Json]:
        """The runs that have or want replicas, with their instances."""
        return list(self._json("GET", f"/deployments/{_segment(deployment_id)}/runs"))

    def diff(self, deployment_id: str, *, before: str, after: str) -> list[Json]:
        """What differs between two specs: `{path, from, to}` each."""
        params = {"from": before, "to": after}
        return list(self._json("GET", f"/deployments/{_segment(deployment_id)}/diff", params=params))

    def explain(self, deployment_id: str, *, at: str | None = None) -> Json:
        """Why it has as many replicas as it has, or had `at` a time (RFC 3339) or a sequence."""
        return self._call("GET", f"/deployments/{_segment(deployment_id)}/explain", params=_given(at=at))

    def decisions(self, deployment_id: str, *, kind: str | None = None) -> Iterator[Json]:
        """What was decided about it, newest first. kind: scaling, rollout, verdict or spec."""
        yield from self._pages(f"/deployments/{_segment(deployment_id)}/decisions", kind=kind)

    def metrics(self, deployment_id: str, metric: str, *, timeframe: str = "hour") -> list[Json]:
        """What was measured, in the shape of that metric, oldest first; values are strings."""
        params = {"metric": metric, "timeframe": timeframe}
        return list(self._json("GET", f"/deployments/{_segment(deployment_id)}/metrics", params=params))

    def usage(
        self,
        *,
        begin: str,
        end: str | None = None,
        group_by: str = "deployment",
        deployment_id: str | None = None,
    ) -> Json:
        """Replica-seconds and their cost between two times (RFC 3339); up to now without `end`."""
        params = {"from": begin, **_given(to=end, groupBy=group_by, deploymentId=deployment_id)}
        return self._call("GET", "/usage", params=params)

    def what_if(self, deployment_id: str, autoscaling: Json, *, since: str, until: str | None = None) -> Json:
        """What this policy would have done on what is recorded; since, until: times (RFC 3339)."""
        body = {"autoscaling": autoscaling, **_given(**{"from": since, "to": until})}
        path = f"/deployments/{_segment(deployment_id)}/whatif"
        return self._call("POST", path, json=body, timeout=TRIAL_S)

    def logs(
        self,
        deployment_id: str,
        *,
        instance_id: str | None = None,
        after: str | None = None,
        noticed: Callable[[Json], None] | None = None,
    ) -> Iterator[Json]:
        """What the replicas wrote, oldest first, up to now. `after` is the id of a line. noticed: hears of
        whom it cannot be read, and why, with each page."""
        path = f"/deployments/{_segment(deployment_id)}/logs"
        yield from self._pages(path, noticed, instanceId=instance_id, after=after, order="asc")

    def last_logs(
        self,
        deployment_id: str,
        count: int,
        *,
        instance_id: str | None = None,
        noticed: Callable[[Json], None] | None = None,
    ) -> list[Json]:
        """The last lines that the replicas wrote, at most `count`, oldest first."""
        path = f"/deployments/{_segment(deployment_id)}/logs"
        limit = min(count, PAGE)
        newest_first = self._pages(path, noticed, instanceId=instance_id, order="desc", limit=limit)
        return list(islice(newest_first, min(count, sys.maxsize)))[::-1]

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
        """Every event after a sequence, and then each new one as it happens.

        A stream that was cut is taken up where it was; Unreachable when the api stays away.
        """
        away_since: float | None = None
        was_there = False
        while True:
            params = _given(deploymentId=deployment_id, type=event_type, after=after)
            try:
                with self._stream(
                    "/events", params=params, accept="text/event-stream", timeout=None
                ) as answer:
                    was_there, away_since = True, None
                    for message in EventSource(answer).iter_sse():
                        event: Json = message.json()
                        after = event["sequence"]
                        yield event
            except (Unreachable, ApiError) as error:
                if not was_there or (isinstance(error, ApiError) and error.status < 500):
                    raise
                away_since = away_since or monotonic()
                if monotonic() - away_since > AWAY_S:
                    raise
            time.sleep(RECONNECT_S)

    # Projects, the platform, the log

    def machine_types(self) -> Iterator[Json]:
        """What a spec may name as its machine type, in the operator's order."""
        yield from self._call("GET", "/machine-types")["items"]

    def projects(self) -> Iterator[Json]:
        yield from self._pages("/projects")

    def create_project(self, name: str) -> Json:
        return self._call("POST", "/projects", json={"name": name})

    def rename_project(self, project_id: str, name: str) -> Json:
        return self._call("PUT", f"/projects/{_segment(project_id)}", json={"name": name})

    def delete_project(self, project_id: str) -> Json:
        """The project as it was; refused while it has deployments."""
        return self._call("DELETE", f"/projects/{_segment(project_id)}")

    def activity(self, project_id: str) -> Iterator[Json]:
        """What was done to its deployments, newest first."""
        yield from self._pages(f"/projects/{_segment(project_id)}/activity")

    def health(self) -> str:
        """`HEALTHY`; an ApiError whose details name what is not ready otherwise."""
        return str(self._json("GET", "/health"))

    def verify_log(self, *, head: str | None = None, told: Callable[[int, int], None] | None = None) -> Json:
        """head: that of an export, kept elsewhere. told: hears now and then how many of how many are done."""
        found: Json = {}
        accept, params = "application/x-ndjson", _given(head=head)
        with self._stream("/log/verify", params=params, accept=accept, timeout=600.0) as answer:
            for line in answer.iter_lines():
                found = json.loads(line)
                if told and "verified" in found:
                    told(found["verified"], found["events"])
        if "ok" not in found:
            raise Unreachable(self.base_url, "the answer was cut")
        return found

    def export_log(self) -> Iterator[bytes]:
        """The whole log, as lines of JSON."""
        with self._stream("/log/export", timeout=600.0) as answer:
            yield from answer.iter_bytes()

    def import_log(self, content: Iterable[bytes]) -> Json:
        """Fill an empty log with an export. A long one goes on after the answer: `import_state` tells."""
        return self._call("POST", "/log/import", content=content, timeout=600.0)

    def import_state(self) -> Json:
        """How the newest import stands: `state`, `events`, `stored`, its file's `digest`, a `message`."""
        return self._call("GET", "/log/import")

    # How a call is made

    def _pages(
        self, path: str, noticed: Callable[[Json], None] | None = None, *, limit: int = PAGE, **params: Any
    ) -> Iterator[Json]:
        while True:
            page = self._call("GET", path, params=_given(limit=limit, **params))
            if noticed is not None:
                for notice in page.get("notices", ()):
                    noticed(notice)
            yield from page["items"]
            if not page.get("hasMore"):
                return
            params["after"] = page["nextPage"]

    def _call(self, method: str, path: str, **how: Any) -> Json:
        answer: Json = self._json(method, path, **how)
        return answer

    def _json(self, method: str, path: str, **how: Any) -> Any:
        with self._reaching():
            response = self._http.request(method, path, **how)
        if response.is_error:
            raise self._error(response)
        try:
            return response.json()
        except ValueError as error:
            raise self._not_the_api(response) from error

    @contextmanager
    def _stream(
        self, path: str, *, timeout: float | None, accept: str = "*/*", params: Json | None = None
    ) -> Iterator[httpx.Response]:
        request = self._http.build_request(
            "GET", path, params=params, headers={"accept": accept}, timeout=timeout
        )
        with self._reaching():
            response = self._http.send(request, stream=True)
            try:
                if response.is_error:
                    response.read()
                    raise self._error(response)
                yield response
            finally:
                response.close()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unreachable(self.base_url, str(error) or type(error).__name__) from error

    def _error(self, response: httpx.Response) -> ClientError:
        try:
            body = response.json()
        except ValueError:
            body = None
        if isinstance(body, dict) and "code" in body:
            return ApiError(response.status_code, body)
        return self._not_the_api(response)

    def _not_the_api(self, response: httpx.Response) -> Unreachable:
        return Unreachable(self.base_url, f"something else answers there (HTTP {response.status_code})")


def _is_loopback(base_url: str) -> bool:
    try:
        host = httpx.URL(base_url).host
        return host == "localhost" or ip_address(host).is_loopback
    except (httpx.InvalidURL, ValueError):
        return False


def _given(**params: Any) -> Json:
    return {name: value for name, value in params.items() if value is not None}


def _segment(text: str) -> str:
    """One segment of a path, whatever is in it; dots alone would be steps within the path."""
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")
