"""Faults between a platform and its API server as a seed deals them: each request may meet any."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from libs.common.clock import monotonic
from tests.support.fault_proxy import Fault, Forward, answer, lose_answer, lose_request
from tests.support.kubernetes_faults import (
    CONFLICT,
    INTERNAL,
    LATE_S,
    LATER,
    UNAUTHORIZED,
    WATCHERS,
    WRITES,
    Trouble,
)
from tests.support.old_lists import OldLists
from tests.support.polling import eventually, let_time_pass

ONE_OF = 3
"""So many requests meets a fault."""
LATE_ANSWER_S = 1.0
SILENT_S = 3.0
PAUSE_S = (0.3, 2.0)
"""Between two things that happen to the watches."""
RESTARTS_WITHIN_S = 10.0
"""From the beginning: whoever is killed later may not lead again yet when all ends."""


async def answer_late(_: web.Request, forward: Forward) -> web.StreamResponse:
    response = await forward()
    await let_time_pass(LATE_ANSWER_S)
    return response


ANY = {"401": UNAUTHORIZED, "429": LATER, "500": INTERNAL, "request lost": lose_request}
OF_A_WATCH = {**ANY, "410": answer(410, "too old resource version")}
OF_A_WRITE = {**ANY, "409": CONFLICT, "answer lost": lose_answer, "answer late": answer_late}


class Chance:
    """met: how often each fault was dealt."""

    def __init__(self, seed: int, trouble: Trouble) -> None:
        self.met: Counter[str] = Counter()
        self._rng = random.Random(f"faults {seed}")
        self._platform = trouble.platform
        self._proxy = trouble.proxy
        self._lists = OldLists(trouble.platform.client, trouble.platform.namespace)

    @asynccontextmanager
    async def dealing(self) -> AsyncIterator[None]:
        """For as long as the block runs. What was dealt last goes on until the proxy is mended."""
        dealing = asyncio.create_task(self._deal())
        try:
            yield
        finally:
            dealing.cancel()
            await asyncio.wait([dealing])
        assert dealing.cancelled(), dealing.exception()

    async def _deal(self) -> None:
        await asyncio.to_thread(self._lists.remember)
        self._proxy.choose = self._choose
        began = monotonic()
        while True:
            await let_time_pass(self._rng.uniform(*PAUSE_S))
            what = self._rng.choice(("cut", "silent", "late", "on time", "list", "restart"))
            if what == "restart" and monotonic() - began > RESTARTS_WITHIN_S:
                continue
            self.met[what] += 1
            match what:
                case "cut":
                    self._proxy.cut_watches()
                case "silent":
                    self._proxy.silence_watches()
                    await let_time_pass(self._rng.uniform(0, SILENT_S))
                    self._proxy.let_watches_speak()
                case "late":
                    self._proxy.watches_are_late_by_s = self._rng.uniform(0, LATE_S)
                case "on time":
                    self._proxy.watches_are_late_by_s = 0
                case "restart":
                    await self._restart(self._rng.choice(WATCHERS))
                case "list":
                    await asyncio.to_thread(self._lists.remember)

    async def _restart(self, name: str) -> None:
        await eventually(lambda: self._platform.pid(name) is not None)
        self._platform.send(name)

    def _choose(self, method: str, kind: str) -> Fault | None:
        if self._rng.randrange(ONE_OF):
            return None
        of = OF_A_WATCH if method == "WATCH" else OF_A_WRITE if method in WRITES else self._of_a_read(kind)
        name = self._rng.choice(sorted(of))
        self.met[name] += 1
        return of[name]

    def _of_a_read(self, kind: str) -> dict[str, Fault]:
        async def old_list(request: web.Request, forward: Forward) -> web.StreamResponse:
            self._lists.left[kind] = 1  # of one object the server itself tells all the same
            return await self._lists.fault(request, forward)

        return {**ANY, "answer late": answer_late, "old list": old_list}
