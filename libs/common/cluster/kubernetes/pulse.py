"""Whether the API server can tell what is, and not only what was: what watches say never shows that.

One whose etcd is away keeps its watches open, reminds of them every minute, and answers some lists, all from
what it remembers; only what it has to ask etcd for takes half a minute and fails.
"""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from libs.common.clock import Ticks
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.patience import TimedOut, Unanswered
from libs.common.cluster.kubernetes.refusals import Forbidden, NotThere
from libs.common.errors import ClusterUnavailable, SpecstreamError

logger = structlog.get_logger()

EVERY_S: Final = 20.0
"""Between two looks while every request is answered soon."""
SOON_S: Final = 1.0
"""Between two looks at least."""
WRONG_FOR_S: Final = 5.0
"""So long every look has to be in vain: etcd is away for a moment whenever it elects another leader."""


class Pulse:
    """`run` looks, at the one object that everybody who works here may read, and gives up what is asked while
    that is in vain."""

    def __init__(self, client: Client, *, ticks: Ticks) -> None:
        self._client = client
        self._patience = client.patience
        self._ticks = ticks
        self._wrong_since: float | None = None

    def check(self) -> None:
        """Raises ClusterUnavailable while nobody can tell what is."""
        if self._patience.problem:
            raise ClusterUnavailable(self._patience.problem)

    async def run(self) -> None:
        """Never returns."""
        while True:
            if self._wrong_since is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY_S):
                        await self._patience.is_slow.wait()
            self._patience.is_slow.clear()
            began = self._ticks()
            self._conclude(began, await self._look())
            await asyncio.sleep(SOON_S)

    def _conclude(self, began: float, wrong: str) -> None:
        if not wrong:
            self._wrong_since = None
            if self._patience.problem:
                logger.info("the Kubernetes API server answers again")
            self._patience.resume()
            return
        if self._wrong_since is None:
            self._wrong_since = began
        if self._ticks() - self._wrong_since >= WRONG_FOR_S:
            if not self._patience.problem:
                logger.warning("the Kubernetes API server cannot tell what is", error=wrong)
            self._patience.give_up(wrong)

    async def _look(self) -> str:
        """What is wrong; empty where nothing is, or nobody says so."""
        known = self._patience.problem
        try:
            await self._client.look()
        except TimedOut:
            return known or await self._what_it_lacks()
        except Unanswered:
            return known  # it cannot be reached, which whoever watches it finds out
        except SpecstreamError as error:
            return str(error)
        return ""

    async def _what_it_lacks(self) -> str:
        try:
            await self._client.check_readiness()
        except TimedOut as error:
            return str(error)
        except (Unanswered, Forbidden, NotThere):
            return ""
        except SpecstreamError as error:
            return str(error)
        return ""
