"""Verifying, exporting and importing take the same memory for a log more than twice as long."""

import asyncio
import gc
import multiprocessing
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from libs.common.clock import utc_now
from libs.common.events.envelope import Aggregate
from libs.common.ids import new_id
from libs.common.log.export import event_line, export, import_
from libs.common.log.head import RunningHead
from libs.common.log.port import Stored
from libs.common.log.sealing import seal
from libs.common.log.verify import Verified, verify
from tests.support.names import CAUSE, claim

SMALL, LARGE = 1_200, 2_800
"""Both are more events than what is remembered of a log in memory, which is at most about a thousand."""
ALLOWED = 80_000
"""Bytes between the two: 50 for each event more, a quarter of what keeping one id would take."""


class LongLog:
    """An archive that makes its events, each of an aggregate of its own, as they are read, and keeps none."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.restored = 0

    async def read_raw(self, *, after: int = 0, until: int | None = None) -> AsyncIterator[Stored]:
        assert (after, until) == (0, None)
        now = utc_now()
        for sequence in range(1, self.events + 1):
            draft = claim(Aggregate("default", "name", f"{sequence:032x}"))
            (event,) = seal(
                [draft], heads={}, guards=(), cause=CAUSE, source="specstream/test", now=now, fresh_id=new_id
            )
            yield Stored(sequence, now, event.subject, event.headers, event.data)

    async def importing(self) -> None:
        return None

    async def restore(self, events: Sequence[Stored], *, until: int) -> None:
        assert until == self.events
        assert events[0].sequence == self.restored + 1
        self.restored = events[-1].sequence

    async def last_sequence(self) -> int:
        return self.restored


async def verified(log: LongLog, folder: Path) -> None:
    assert isinstance(await verify(log.read_raw(), folder=folder), Verified)


async def exported(log: LongLog, _: Path) -> None:
    assert len([None async for _ in export(log)]) == log.events + 2


async def imported(log: LongLog, folder: Path) -> None:
    async def lines() -> AsyncIterator[bytes]:
        running = RunningHead()
        yield b'{"format":"specstream-log","version":2}\n'
        async for event in log.read_raw():
            running.take(event)
            yield event_line(event)
        head = running.head()
        yield b'{"head":{"version":2,"sequence":%d,"events":%d,"digest":"%s"}}' % (
            head.sequence,
            head.events,
            head.digest.encode(),
        )

    assert await import_(log, lines(), folder=folder) == log.events == log.restored


Tool = Callable[[LongLog, Path], Coroutine[Any, Any, None]]


def peaks(tool: Tool, folder: Path) -> list[int]:
    """The most bytes that Python held at once, over what it held before: for the small log and for the large
    one."""
    asyncio.run(tool(LongLog(SMALL), folder))  # what is made once is made now
    found: list[int] = []
    for events in (SMALL, LARGE):
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        asyncio.run(tool(LongLog(events), folder))
        found.append(tracemalloc.get_traced_memory()[1] - before)
        tracemalloc.stop()
    return found


@pytest.mark.parametrize("tool", [verified, exported, imported])
def test_the_peak_does_not_grow_with_the_log(tool: Tool, tmp_path: Path):
    # In a process of its own, since the garbage, the threads and the caches of earlier tests would count too.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        small, large = process.submit(peaks, tool, tmp_path).result()
    assert large - small < ALLOWED, (small, large)
    assert not list(tmp_path.iterdir())
