"""When the next probe of each check is due. Pure: times are seconds on one clock that the caller reads."""

import heapq
import itertools
import zlib
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from libs.common.back_off import BackOff

Key = TypeVar("Key", bound=Hashable)

SPREAD_S = 10.0
"""First probes of replicas that were ready before we came are spread over at most this long."""

PORT_RETRY: Final = BackOff(0.1, 1.0, factor=1.5)
"""Between two tries of a port that nothing listens on yet."""


def first_due(
    key: str, *, started_at: float, initial_delay_s: float, period_s: float, now: float, is_urgent: bool
) -> float:
    """When a check of a process is probed for the first time by us.

    | started_at + initial delay | is_urgent | first probe                                         |
    |----------------------------|-----------|-----------------------------------------------------|
    | is still to come           | any       | then                                                |
    | has passed                 | yes       | now: a first readiness is a matter of milliseconds  |
    | has passed                 | no        | within one period and SPREAD_S, at a place that the |
    |                            |           | key fixes, so that thousands do not fire at once    |
    """
    due_at = started_at + initial_delay_s
    if due_at > now or is_urgent:
        return max(due_at, now)
    return now + _fraction(key) * min(period_s, SPREAD_S)


def next_due(due_at: float, *, period_s: float, now: float) -> float:
    """The first tick of the period after `now`; ticks that were missed are left out, never caught up."""
    missed = max(0.0, now - due_at) // period_s
    return due_at + (missed + 1) * period_s


def port_retry_delay_s(port_retries: int) -> float:
    """How long to wait before a closed port is tried again, after `port_retries` tries."""
    return PORT_RETRY.pause_s(port_retries + 1)


def _fraction(key: str) -> float:
    return zlib.crc32(key.encode()) / 2**32


class Schedule(Generic[Key]):
    """What is due when; one time for each key. O(log n) for each change."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._current: dict[Key, int] = {}
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._current)

    def put(self, key: Key, due_at: float) -> None:
        """Set the time of `key`, whatever it was."""
        ticket = next(self._tickets)
        self._current[key] = ticket
        heapq.heappush(self._heap, (due_at, ticket, key))
        if len(self._heap) > 2 * len(self._current) + 64:
            self._heap = [entry for entry in self._heap if self._current.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)

    def drop(self, key: Key) -> None:
        """Forget `key`, if it is there."""
        self._current.pop(key, None)

    def pop_due(self, now: float, most: int | None = None) -> list[tuple[Key, float]]:
        """Take out all that is due, or the first `most`, earliest first, each with the time it was due at."""
        due: list[tuple[Key, float]] = []
        while self._heap and self._heap[0][0] <= now and len(due) != most:
            due_at, ticket, key = heapq.heappop(self._heap)
            if self._current.get(key) == ticket:
                del self._current[key]
                due.append((key, due_at))
        return due

    def next_at(self) -> float | None:
        """When the earliest is due; None when there is nothing."""
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
