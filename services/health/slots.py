"""How many attempts are in flight at one time, shared fairly among deployments."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Slot:
    """A place for one attempt."""

    task: "asyncio.Task[object]"
    """Who makes it."""
    has_given_way: bool = False
    """Whether the place is another's now."""


@dataclass(slots=True)
class _Share:
    """What one deployment has: its attempts in flight, oldest first, and those that wait for their turn."""

    running: dict[_Slot, None] = field(default_factory=dict)
    waiting: "deque[tuple[_Slot, asyncio.Future[None]]]" = field(default_factory=deque)


class Slots:
    """Max-min fair: nobody is left waiting while somebody else has more in flight.

    | a slot is free | a deployment with at least two more in flight | a new attempt                       |
    |----------------|-----------------------------------------------|-------------------------------------|
    | yes            | -                                             | begins                              |
    | no             | yes                                           | begins in the place of the youngest |
    |                |                                               | attempt of the one with the most    |
    | no             | no                                            | waits for its deployment's turn     |

    An attempt may hang for as long as its deployment likes, so that waiting alone would starve the others.
    One that had to give way says nothing about its replica, and begins anew when its turn comes. The
    youngest gives way, so that the older ones come to their end. A slot that becomes free goes to the
    waiting deployment with the fewest in flight.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._shares: dict[str, _Share] = {}

    async def run(self, deployment_id: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The outcome of `attempt`, which may have been begun and given up several times before."""
        task = asyncio.current_task()
        assert task is not None
        while True:
            slot = _Slot(task)
            try:
                await self._take(deployment_id, slot)
                return await attempt()
            except asyncio.CancelledError:
                if not slot.has_given_way or task.uncancel() > 0:
                    raise
            finally:
                self._leave(deployment_id, slot)

    async def _take(self, deployment_id: str, slot: _Slot) -> None:
        share = self._shares.setdefault(deployment_id, _Share())
        if self._free > 0:
            self._free -= 1
            share.running[slot] = None
            return
        richest = max(self._shares.values(), key=_size)
        if _size(richest) >= _size(share) + 2:
            youngest, _ = richest.running.popitem()
            youngest.has_given_way = True
            youngest.task.cancel()
            share.running[slot] = None
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (slot, turn)
        share.waiting.append(waiting)
        try:
            await turn
        finally:
            if waiting in share.waiting:
                share.waiting.remove(waiting)

    def _leave(self, deployment_id: str, slot: _Slot) -> None:
        share = self._shares.get(deployment_id, _Share())
        if slot in share.running:
            del share.running[slot]
            self._pass_on()
        if not share.running and not share.waiting:
            self._shares.pop(deployment_id, None)

    def _pass_on(self) -> None:
        """A slot is nobody's any more."""
        poorest = min((one for one in self._shares.values() if one.waiting), key=_size, default=None)
        if poorest is None:
            self._free += 1
            return
        slot, turn = poorest.waiting.popleft()
        poorest.running[slot] = None
        turn.set_result(None)


def _size(share: _Share) -> int:
    return len(share.running)
