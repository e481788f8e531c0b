"""How long requests are waited for: each for its own time, and none any more once nobody would answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from libs.common.errors import ClusterUnavailable

SLOW_S: Final = 2.0
"""A request that has no answer by then makes somebody look whether there will be any."""


class Unanswered(ClusterUnavailable):
    """No answer came: whether the request has had its effect is unknown."""


class TimedOut(Unanswered):
    """It was waited for in vain, by whoever was connected."""


class Patience:
    """With the requests of one client. problem: why nobody would answer; empty where somebody may. is_slow:
    set when a request takes long."""

    def __init__(self) -> None:
        self.problem = ""
        self.is_slow = asyncio.Event()
        self._under_way: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def with_one(self) -> AsyncIterator[None]:
        """Around a request. Raises Unanswered when it is given up, or is not to be asked at all."""
        if self.problem:
            raise Unanswered(self.problem)
        slow = asyncio.get_running_loop().call_later(SLOW_S, self.is_slow.set)
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._under_way.add(limit)
                yield
        except TimeoutError as error:
            raise Unanswered(self.problem) from error
        finally:
            slow.cancel()
            self._under_way.discard(limit)

    def give_up(self, problem: str) -> None:
        """All that are under way, and each that would be asked until `resume`."""
        self.problem = problem
        for limit in self._under_way:
            limit.reschedule(asyncio.get_running_loop().time())

    def resume(self) -> None:
        self.problem = ""
