"""Asking Envoy how many requests are active on each endpoint, and for all that it has counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, Self

import httpx
import structlog

from services.router.measuring.said import Values, read_all
from services.router.meeting_place import MeetingPlace
from services.router.xds.resources import deployment_of_cluster, fresh_cluster

logger = structlog.get_logger()

ActiveRequests = Mapping[str, Mapping[str, int]]
"""By deployment id, then by address."""

_TIMEOUT_S: Final = 1.0
_COUNTERS_TIMEOUT_S: Final = 4.0
_CLUSTERS_PER_QUERY: Final = 200
"""Their ids go into the request line, which Envoy limits."""


class EnvoyAdmin:
    """Reads `/clusters` of Envoy's admin socket, of the named clusters only: with 10,000 of them the whole
    answer is megabytes, and writing it holds up the thread that takes in route changes. `/stats` is read
    whole, but only every few minutes.

    Envoy answers nothing else there, and this only to who knows the token (`infra/envoy/bootstrap.json`).
    """

    def __init__(self, place: MeetingPlace) -> None:
        self._token = place.token
        transport = httpx.AsyncHTTPTransport(uds=place.admin_socket)
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://envoy", timeout=_TIMEOUT_S, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def active_requests(self, deployment_ids: Iterable[str]) -> ActiveRequests | None:
        """None when they cannot be read: unknown, not zero."""
        remaining = iter(deployment_ids)
        active: dict[str, Mapping[str, int]] = {}
        while some := list(islice(remaining, _CLUSTERS_PER_QUERY)):
            names = (name for id_ in some for name in (id_, fresh_cluster(id_)))
            # The token has to be first: Envoy compares the beginning of the path.
            query = {"token": self._token, "format": "json", "filter": f"^({'|'.join(names)})$"}
            try:
                response = await self._client.get("/clusters", params=query)
                if response.status_code != httpx.codes.OK:
                    logger.warning("envoy cannot be read", status=response.status_code)
                    return None
                active |= parse_clusters(response.json())
            except (httpx.HTTPError, ValueError, KeyError) as error:
                # Its text may hold the query, and the query holds the token.
                logger.warning("envoy cannot be read", error=type(error).__name__)
                return None
        return active

    async def counters(self) -> Values | None:
        """All counters of requests. None when they cannot be read."""
        query = {"token": self._token, "type": "Counters"}
        try:
            response = await self._client.get("/stats", params=query, timeout=_COUNTERS_TIMEOUT_S)
            if response.status_code == httpx.codes.OK:
                return read_all(response.text)
            logger.warning("envoy cannot be read", status=response.status_code)
        except httpx.HTTPError as error:
            logger.warning("envoy cannot be read", error=type(error).__name__)
        return None


def parse_clusters(answer: Mapping[str, Any]) -> ActiveRequests:
    """The gauge `rq_active` of each host in an answer of `/clusters?format=json`, summed over the clusters of
    a deployment."""
    active: dict[str, Counter[str]] = {}
    for cluster in answer.get("cluster_statuses", ()):
        counts = active.setdefault(deployment_of_cluster(cluster["name"]), Counter())
        for host in cluster.get("host_statuses", ()):
            counts[_address(host["address"]["socket_address"])] += _gauge(host.get("stats", ()), "rq_active")
    return active


def _address(socket: Mapping[str, Any]) -> str:
    return f"{socket['address']}:{socket['port_value']}"


def _gauge(stats: Iterable[Mapping[str, Any]], name: str) -> int:
    return next((int(stat.get("value", 0)) for stat in stats if stat.get("name") == name), 0)
