"""Asking an Envoy how many requests are active on each endpoint."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, Self

import httpx
import structlog

logger = structlog.get_logger()

ActiveRequests = Mapping[str, Mapping[str, int]]
"""By deployment id, then by address."""

_TIMEOUT_S: Final = 1.0
_CLUSTERS_PER_QUERY: Final = 200
"""Their ids go into the request line, which Envoy limits."""


class EnvoyAdmin:
    """Reads `/clusters` of Envoy's admin address, of the named clusters only: with 10,000 of them the whole
    answer is megabytes, and writing it holds up the thread that takes in route changes."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def active_requests(self, admin: str, deployment_ids: Iterable[str]) -> ActiveRequests | None:
        """admin: `host:port`. None when it cannot be read: unknown, not zero."""
        remaining = iter(deployment_ids)
        active: dict[str, Mapping[str, int]] = {}
        while some := list(islice(remaining, _CLUSTERS_PER_QUERY)):
            query = {"format": "json", "filter": f"^({'|'.join(some)})$"}
            try:
                response = await self._client.get(f"http://{admin}/clusters", params=query)
                response.raise_for_status()
                active |= parse_clusters(response.json())
            except (httpx.HTTPError, ValueError, KeyError) as error:
                logger.warning("envoy cannot be read", admin=admin, error=repr(error))
                return None
        return active


def parse_clusters(answer: Mapping[str, Any]) -> ActiveRequests:
    """The gauge `rq_active` of each host in an answer of `/clusters?format=json`."""
    return {
        cluster["name"]: {
            _address(host["address"]["socket_address"]): _gauge(host.get("stats", ()), "rq_active")
            for host in cluster.get("host_statuses", ())
        }
        for cluster in answer.get("cluster_statuses", ())
    }


def _address(socket: Mapping[str, Any]) -> str:
    return f"{socket['address']}:{socket['port_value']}"


def _gauge(stats: Iterable[Mapping[str, Any]], name: str) -> int:
    return next((int(stat.get("value", 0)) for stat in stats if stat.get("name") == name), 0)
