"""HTTP clients of programs on this machine. They wait as long as everything else, and read no certificates of
the world, which takes longer than many calls."""

from typing import Any

import httpx

from tests.support.polling import PATIENCE_S


def plain_client(*, uds: str | None = None, **options: Any) -> httpx.AsyncClient:
    """uds: the path of a unix socket instead of an address."""
    transport = None if uds is None else httpx.AsyncHTTPTransport(uds=uds, verify=False)
    how = {"transport": transport, "trust_env": False, "timeout": PATIENCE_S, "verify": False}
    return httpx.AsyncClient(**{**how, **options})
