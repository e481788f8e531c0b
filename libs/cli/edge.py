"""Asking a deployment's endpoint whether its requests are led to a replica yet.

A spec is healthy when its replicas are ready. The router hears of that when the api does, and Envoy a moment
later: until then callers are told that there is no such deployment, or no replica of it.
"""

import time
from typing import Final

import httpx

from libs.cli.errors import CommandFailed
from libs.common.clock import monotonic

POLL_S: Final = 0.02
SILENCE_S: Final = 5.0
"""The edge refuses at once what it has no replica for, so after this long a replica has the request."""
NOT_YET: Final = frozenset(
    {"deployment_not_found", "deployment_disabled", "deployment_stopped", "no_ready_replicas"}
)
"""The `error_code` of what the edge answers by itself where it knows no replica to ask."""
REPLICA: Final = "x-specstream-replica"


def until_led(endpoint: str, *, give_up: float) -> None:
    """Return when a request to the endpoint, `host:port`, is led to a replica, whatever that answers.

    give_up: by the monotonic clock. Raises CommandFailed when that has passed.
    """
    host, _, port = endpoint.rpartition(":")
    # No resolver needs to know the name.
    url, headers = f"http://127.0.0.1:{port}/", {"host": f"{host}:{port}"}
    with httpx.Client(trust_env=False, verify=False, timeout=SILENCE_S) as client:  # noqa: S501 - no TLS here
        while (refusal := _refusal(client, url, headers)) is not None:
            if monotonic() >= give_up:
                raise CommandFailed(f"its replicas are ready, but not served: {refusal}")
            time.sleep(POLL_S)


def _refusal(client: httpx.Client, url: str, headers: dict[str, str]) -> str | None:
    """Why no replica was asked; None when one was. OPTIONS asks for nothing to be done."""
    try:
        answer = client.options(url, headers=headers)
    except httpx.ReadTimeout:
        return None
    except httpx.TransportError as error:
        return f"the edge does not answer: {error or type(error).__name__}"
    if REPLICA in answer.headers:
        return None
    try:
        told = answer.json()
        return f"{told['error']} ({told['error_code']})" if told["error_code"] in NOT_YET else None
    except (ValueError, LookupError, TypeError):
        return None  # whoever answered so is not the edge itself
