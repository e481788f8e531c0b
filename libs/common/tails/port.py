"""Where tails are kept: at most `MOST_REPLICAS` of a deployment, for `KEPT_S`, in bounded room.

What is full drops what was written longest ago. The port, and its adapter in memory.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from libs.common.clock import Clock, utc_now
from libs.common.tails.tail import KEPT_S, Tail, decode, encode, join, slot_of


class Tails(Protocol):
    """Every method raises LogUnavailable when the broker cannot be reached."""

    async def keep(self, deployment_id: str, tail: Tail) -> None:
        """Add these lines to what is kept of the replica. The same twice, or by two at once, is kept once."""
        ...

    async def read(self, deployment_id: str, *, since: datetime | None = None) -> Sequence[Tail]:
        """Of every replica of which something is kept; only those that something was added to since."""
        ...

    async def deployment_ids(self) -> frozenset[str]:
        """Those of which something is kept, or was until a second ago."""
        ...

    async def forget(self, deployment_id: str) -> None:
        """Delete whatever is kept of a deployment."""
        ...


class MemoryTails:
    """For unit tests and trials. is_available: set False to let every call fail."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._kept: dict[str, dict[int, tuple[int, str, datetime, bytes]]] = {}
        self._written = 0

    async def keep(self, deployment_id: str, tail: Tail) -> None:
        self._forget_old()
        slots = self._kept.setdefault(deployment_id, {})
        slot = slot_of(tail.replica_id, {each: (held[0], held[1]) for each, held in slots.items()})
        before = decode(slots[slot][3]) if slot in slots and slots[slot][1] == tail.replica_id else None
        joined = join(before, tail)
        if joined != before:
            self._written += 1
            slots[slot] = (self._written, tail.replica_id, self._clock(), encode(joined))

    async def read(self, deployment_id: str, *, since: datetime | None = None) -> Sequence[Tail]:
        self._forget_old()
        return [
            tail
            for _, _, at, data in self._kept.get(deployment_id, {}).values()
            if (since is None or at >= since) and (tail := decode(data)) is not None
        ]

    async def deployment_ids(self) -> frozenset[str]:
        self._forget_old()
        return frozenset(self._kept)

    async def forget(self, deployment_id: str) -> None:
        self._kept.pop(deployment_id, None)

    def _forget_old(self) -> None:
        oldest = self._clock() - timedelta(seconds=KEPT_S)
        kept = {
            deployment_id: {slot: held for slot, held in slots.items() if held[2] > oldest}
            for deployment_id, slots in self._kept.items()
        }
        self._kept = {deployment_id: slots for deployment_id, slots in kept.items() if slots}
