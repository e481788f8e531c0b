"""A client that keeps calling an endpoint, and counts."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx

from libs.common.clock import utc_now

TIMEOUT_S = 30.0

PAUSE_S = 0.02
"""Between calls: some 40 a second, enough to fall into every hand-over."""


@dataclass(slots=True)
class Tally:
    """calls and failed count; replicas and specs say who answered, from the response headers."""

    calls: int = 0
    failed: int = 0
    replicas: Counter[str] = field(default_factory=Counter)
    specs: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Caller:
    """Calls `GET /predict/` of an endpoint from a thread of its own, from `with` to its end.

    The connection goes to the edge port of this machine and the endpoint's host into the header: no resolver
    needs to know it.
    """

    def __init__(self, endpoint: str, *, path: str = "/predict/") -> None:
        self.endpoint = endpoint
        host, _, port = endpoint.partition(":")
        self._url = f"http://127.0.0.1:{port}{path}"
        self._headers = {"host": f"{host}:{port}"}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._tally = Tally()
        self.first_served: dict[str, datetime] = {}
        """When each spec first answered a call."""
        self._thread = threading.Thread(target=self._run, name="caller", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def take(self) -> Tally:
        """What happened since the last time."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
        return tally

    def once(self) -> httpx.Response:
        """One call, apart from the count."""
        return httpx.get(self._url, headers=self._headers, timeout=TIMEOUT_S, trust_env=False)

    def _run(self) -> None:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            while not self._stop.wait(PAUSE_S):
                try:
                    response = client.get(self._url, headers=self._headers)
                    failure = None if response.status_code == 200 else f"HTTP {response.status_code}"
                    headers = response.headers
                except httpx.HTTPError as error:
                    failure, headers = repr(error), httpx.Headers()
                with self._lock:
                    self._count(failure, headers)

    def _count(self, failure: str | None, headers: httpx.Headers) -> None:
        self._tally.calls += 1
        if failure is not None:
            self._tally.failed += 1
            self._tally.failures.append(failure)
        else:
            self._tally.replicas[headers.get("x-specstream-replica", "?")] += 1
            spec_id = headers.get("x-specstream-spec", "?")
            self._tally.specs[spec_id] += 1
            self.first_served.setdefault(spec_id, utc_now())
