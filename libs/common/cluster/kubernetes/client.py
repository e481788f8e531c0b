"""Asking the API server, in plain JSON.

Every request ends: it has a time limit, and a watch has to say something now and then. Nothing but the number
of writes under way is limited here; a server that wants to be asked later says so, and is.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio.client.rest import RESTClientObject, RESTResponse

from libs.common.clock import Clock, Ticks
from libs.common.cluster.kubernetes.credentials import Credentials, load
from libs.common.cluster.kubernetes.lines import Lines
from libs.common.cluster.kubernetes.patience import Patience, TimedOut, Unanswered
from libs.common.cluster.kubernetes.refusals import Asked, NotThere, Unauthorized, understand
from libs.common.errors import ClusterUnavailable

JSON = dict[str, Any]

WRITES_AT_ONCE: Final = 32
TAKES_S: Final = 30.0
"""At most: one request. A server with load answers within its own limits, which are shorter."""
CONNECTING_S: Final = 5.0
LOOKING_S: Final = 2.0
"""The same of the look at what is read all the time; the server itself needs that long to find etcd away."""
_READY_S: Final = 10.0
SILENT_S: Final = 90.0
"""A watch of which nothing was heard for so long is dead. A bookmark comes every minute."""
_MOST_WAITS: Final = 20
"""How often one request is put off by the server before it counts as unanswered."""
_CONNECTIONS: Final = 3
"""With how many certificates at once."""
_PAGE: Final = 500
_CORE: Final = "/api/v1"
_GROUPS: Final = {"poddisruptionbudgets": "/apis/policy/v1"}
_OF_THE_CLUSTER: Final = frozenset({"nodes"})
"""In no namespace."""
_MEASURED: Final = "/apis/metrics.k8s.io/v1beta1"


class Silent(Unanswered):
    """Nothing was heard of a watch for SILENT_S."""


class Client:
    """Of one namespace. To be closed. patience: with what is asked, but for watches and logs."""

    def __init__(
        self, kubeconfig: Path | None, namespace: str, *, clock: Clock, ticks: Ticks, takes_s: float = TAKES_S
    ) -> None:
        self.namespace = namespace
        self._kubeconfig = kubeconfig
        self._clock = clock
        self._ticks = ticks
        self.patience = Patience()
        self._takes_s = takes_s
        self._writes = asyncio.Semaphore(WRITES_AT_ONCE)
        self._renewing = asyncio.Lock()
        self._credentials: Credentials | None = None
        self._connections: dict[tuple[object, ...], RESTClientObject] = {}

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()
        self._connections.clear()

    async def version(self) -> tuple[int, int]:
        """Such as `(1, 36)`. Raises ClusterUnavailable where this is no Kubernetes."""
        said = await self._json(Asked("get", "version"), "GET", "/version")
        try:
            return int(said["major"]), int(str(said["minor"]).rstrip("+"))
        except (KeyError, TypeError, ValueError) as error:
            raise ClusterUnavailable(
                f"what the kubeconfig names as cluster is no Kubernetes: /version answers {str(said)[:200]}"
            ) from error

    async def check_namespace(self) -> None:
        """Raises ClusterUnavailable when it is not there."""
        await self._json(*self._the_namespace)

    async def look(self) -> None:
        """The same, soon, whether or not anything else is asked. Raises TimedOut too."""
        limits = aiohttp.ClientTimeout(total=LOOKING_S)
        async with self._asked(*self._the_namespace, limits=limits):
            return

    @property
    def _the_namespace(self) -> tuple[Asked, str, str]:
        """The request for it."""
        asked = Asked("get", "namespaces", self.namespace)
        return asked, "GET", f"{_CORE}/namespaces/{quote(self.namespace)}"

    async def check_readiness(self) -> None:
        """Raises ClusterUnavailable where the server says that it lacks something, and TimedOut."""
        limits = aiohttp.ClientTimeout(total=_READY_S)
        async with self._asked(Asked("get", "readyz"), "GET", "/readyz", limits=limits):
            return

    async def get(self, resource: str, name: str) -> JSON:
        """As the server has it, not as one of its caches does. Raises NotThere."""
        return await self._json(Asked("get", resource, name), "GET", self._path(resource, name))

    async def list(self, resource: str, selector: str, fields: str = "") -> tuple[list[JSON], str]:
        """Every object, and the resource version of the whole. Never what an earlier state was.

        selector, fields: which objects, by their labels and by their fields.
        """
        items: list[JSON] = []
        query = {"labelSelector": selector, "fieldSelector": fields, "limit": str(_PAGE)}
        while True:
            page = await self._json(Asked("list", resource), "GET", self._path(resource), query=query)
            items += page.get("items") or ()
            following = page["metadata"].get("continue")
            if not following:
                return items, page["metadata"]["resourceVersion"]
            query["continue"] = following

    async def usage(self, selector: str) -> Sequence[JSON]:
        """What pods use, as whoever serves metrics.k8s.io has measured it. Raises ClusterUnavailable."""
        path = f"{_MEASURED}/namespaces/{quote(self.namespace)}/pods"
        query = {"labelSelector": selector}
        try:
            found = await self._json(Asked("list", "pods.metrics.k8s.io"), "GET", path, query=query)
        except NotThere as error:
            raise ClusterUnavailable(
                f"nobody measures pods: nothing serves metrics.k8s.io, as metrics-server does ({error})"
            ) from error
        return found.get("items") or ()

    async def create(self, resource: str, manifest: JSON, *, is_trial: bool = False) -> JSON:
        """Raises Conflicting when there is one of this name. is_trial: nothing is made."""
        asked = Asked("create", resource, manifest["metadata"]["name"])
        query = {"dryRun": "All"} if is_trial else None
        return await self._json(asked, "POST", self._path(resource), query=query, body=manifest)

    async def replace(self, resource: str, manifest: JSON) -> JSON:
        """Raises Conflicting when it has changed since the resource version of the manifest, NotThere."""
        name = manifest["metadata"]["name"]
        return await self._json(
            Asked("update", resource, name), "PUT", self._path(resource, name), body=manifest
        )

    async def apply(self, resource: str, manifest: JSON, *, manager: str) -> JSON:
        """Make the fields of the manifest so, whoever had them."""
        name = manifest["metadata"]["name"]
        return await self._json(
            Asked("patch", resource, name),
            "PATCH",
            self._path(resource, name),
            query={"fieldManager": manager, "force": "true"},
            body=manifest,
            content_type="application/apply-patch+yaml",
        )

    async def delete(
        self, resource: str, name: str, *, uid: str, version: str | None = None, grace_s: int | None = None
    ) -> JSON:
        """Only the one of this uid (and version). Raises NotThere; Conflicting when it is another by now."""
        conditions = {"uid": uid, **({"resourceVersion": version} if version is not None else {})}
        options: JSON = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": conditions}
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        return await self._json(
            Asked("delete", resource, name), "DELETE", self._path(resource, name), body=options
        )

    async def watch(
        self,
        resource: str,
        selector: str,
        fields: str = "",
        *,
        version: str,
        on_open: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[JSON]:
        """Each event after that resource version; ends when the server ends it. Raises Gone, which may be
        the first that is said, and Silent when nothing is heard for SILENT_S.

        on_open: called when the server has begun to answer.
        """
        asked = Asked("watch", resource)
        query = {
            "labelSelector": selector,
            "fieldSelector": fields,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": "300",
        }
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING_S, sock_read=SILENT_S)
        async with self._asked(asked, "GET", self._path(resource), query=query, limits=limits) as response:
            on_open()
            lines = Lines()
            async for piece in response.response.content.iter_any():
                for line in lines.take(piece):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise understand(asked, event["object"].get("code", 500), json.dumps(event["object"]))
                    yield event

    def log(self, pod: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """What the container of a pod wrote, as it comes. Raises NotThere, and CannotApply where there is
        none."""
        return self._log(pod, query, limits=None)

    def follow_log(self, pod: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The same, until the container has ended."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECTING_S)
        return self._log(pod, {**query, "follow": "true"}, limits=limits)

    async def _log(
        self, pod: str, query: Mapping[str, str], *, limits: aiohttp.ClientTimeout | None
    ) -> AsyncIterator[bytes]:
        asked, path = Asked("get", "pods/log", pod), f"{self._path('pods', pod)}/log"
        async with self._asked(asked, "GET", path, query=query, limits=limits) as response:
            async for piece in response.response.content.iter_any():
                yield piece

    def _path(self, resource: str, name: str | None = None) -> str:
        group = _GROUPS.get(resource, _CORE)
        is_of_cluster = resource in _OF_THE_CLUSTER
        base = (
            f"{group}/{resource}"
            if is_of_cluster
            else f"{group}/namespaces/{quote(self.namespace)}/{resource}"
        )
        return base if name is None else f"{base}/{quote(name)}"

    async def _json(self, asked: Asked, method: str, path: str, **request: Any) -> JSON:
        if method == "GET":
            return await self._read_json(asked, method, path, **request)
        async with self._writes:
            return await self._read_json(asked, method, path, **request)

    async def _read_json(self, asked: Asked, method: str, path: str, **request: Any) -> JSON:
        async with self.patience.with_one(), self._asked(asked, method, path, **request) as response:
            read: JSON = json.loads(await response.read())
            return read

    @asynccontextmanager
    async def _asked(
        self,
        asked: Asked,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JSON | None = None,
        content_type: str = "application/json",
        limits: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[RESTResponse]:
        """The answer to a request, if it is a success. The credentials are renewed once where it is 401."""
        limits = limits or aiohttp.ClientTimeout(total=self._takes_s, sock_connect=CONNECTING_S)
        has_renewed, waits = False, 0
        try:
            while True:
                credentials = await self._present()
                response = await (await self._connection(credentials)).request(
                    method,
                    f"{credentials.configuration.host}{path}?{urlencode(query or {})}".removesuffix("?"),
                    headers={**await credentials.headers(), "Content-Type": content_type},
                    body=body,
                    _request_timeout=limits,
                )
                try:
                    if response.status < 300:
                        yield response
                        return
                    said = (await response.read()).decode(errors="replace")
                finally:
                    response.response.release()
                if response.status == 401 and not has_renewed:
                    has_renewed = True
                    await self._renew(credentials)
                elif response.status == 429 and waits < _MOST_WAITS:
                    waits += 1
                    await asyncio.sleep(_seconds(response.headers.get("Retry-After")))
                else:
                    raise understand(asked, response.status, said)
        except aiohttp.SocketTimeoutError as error:  # only a watch has such a limit
            raise Silent(
                f"the Kubernetes API server says nothing: {asked} was silent for {SILENT_S:g} s"
            ) from error
        except TimeoutError as error:
            raise TimedOut(f"the Kubernetes API server does not answer: {asked} timed out") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            raise Unanswered(
                f"the Kubernetes API server cannot be reached: {asked}: {type(error).__name__}: {error}"
            ) from error

    async def _present(self) -> Credentials:
        credentials = self._credentials
        if credentials is None or (credentials.due_at is not None and self._ticks() >= credentials.due_at):
            return await self._renew(credentials)
        return credentials

    async def _renew(self, refused: Credentials | None) -> Credentials:
        """Others than these; once, however many ask at the same time."""
        async with self._renewing:
            if self._credentials is None or self._credentials is refused:
                try:
                    self._credentials = await load(self._kubeconfig, clock=self._clock, ticks=self._ticks)
                except ClusterUnavailable as error:
                    raise Unauthorized(str(error)) if refused is not None else error from error
            return self._credentials

    async def _connection(self, credentials: Credentials) -> RESTClientObject:
        """The few before it stay open: a watch may be under way on one."""
        connection = self._connections.get(credentials.fingerprint)
        if connection is None:
            connection = RESTClientObject(credentials.configuration)
            self._connections[credentials.fingerprint] = connection
            while len(self._connections) > _CONNECTIONS:
                await self._connections.pop(next(iter(self._connections))).close()
        return connection


def _seconds(retry_after: str | None) -> float:
    """How long the server wants us to wait; a second where it does not say."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else 1.0
