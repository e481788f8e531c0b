"""Asking an etcd itself, by its JSON gateway."""

import base64
from contextlib import suppress
from typing import Any

import httpx

from tests.support.polling import PATIENCE_S

_KEY = base64.b64encode(b"kubelab/advanced").decode()


def is_healthy(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", trust_env=False, timeout=PATIENCE_S).status_code == 200
    return False


def revision(url: str) -> int:
    return int(_ask(url, "range", {"key": _KEY})["header"]["revision"])


def advance(url: str, to: int) -> None:
    """Its revision is beyond that one, and nothing of before can be watched from: as
    `etcdutl snapshot restore --bump-revision --mark-compacted` leaves it. What is stored keeps the revisions
    of its writing."""
    with httpx.Client(trust_env=False, timeout=PATIENCE_S) as client:
        while (reached := _put(client, url)) <= to:
            pass
    _ask(url, "compaction", {"revision": reached, "physical": True})


def _put(client: httpx.Client, url: str) -> int:
    answer = client.post(f"{url}/v3/kv/put", json={"key": _KEY, "value": ""})
    answer.raise_for_status()
    return int(answer.json()["header"]["revision"])


def _ask(url: str, what: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(f"{url}/v3/kv/{what}", json=body, trust_env=False, timeout=PATIENCE_S)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
