"""Reads of one deployment, while the read models have much to take in of another."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, Engine, event

from libs.common.events.envelope import Recorded, select
from libs.common.log.memory import MemoryLog
from services.api.readmodels.coming import Coming
from services.api.readmodels.not_shown import NotVisible
from services.api.readmodels.reading import READERS
from tests.support.deployments import Storyteller
from tests.support.polling import let_others_run
from tests.support.rest import RunningApi, a_config

ONE = "1" * 32


@contextmanager
def nothing_taken_in() -> Iterator[threading.Event]:
    """The read models' writer is held before its next transaction, as by a long one, until this is set."""
    may_go_on = threading.Event()

    def hold(_connection: Connection) -> None:
        if not threading.current_thread().name.startswith(READERS):
            may_go_on.wait()

    event.listen(Engine, "engine_connect", hold)
    try:
        yield may_go_on
    finally:
        may_go_on.set()
        event.remove(Engine, "engine_connect", hold)


async def test_a_read_waits_for_the_events_of_its_own_deployment_alone(durable_api: RunningApi):
    api = durable_api
    quiet, busy = await api.submit(a_config("quiet")), await api.submit(a_config("busy"))
    story = Storyteller(api.api.log, busy)
    with nothing_taken_in() as may_go_on:
        await story.starting(ONE, "127.0.0.1:1")
        for path in ("", "/runs", "/history"):
            await api.get(f"/v1/deployments/{quiet}{path}")
        own = asyncio.ensure_future(api.get(f"/v1/deployments/{busy}/runs"))
        everything = asyncio.ensure_future(api.get("/v1/deployments"))
        await api.get(f"/v1/deployments/{quiet}")
        assert not own.done()
        assert not everything.done()
        may_go_on.set()
        runs, _ = await asyncio.gather(own, everything)
    assert [each["id"] for run in runs for each in run["instances"]] == [ONE]


async def test_events_are_known_by_whose_they_are_until_reads_show_them():
    log = MemoryLog(source="specstream/health")
    story = Storyteller(log, "d" * 32)
    await story.starting(ONE, None)
    events: list[Recorded] = [each async for each in log.read(select())]
    coming = Coming()
    own = asyncio.ensure_future(coming.newest("d" * 32, events[-1].sequence, within_s=60))
    for each in events:
        await let_others_run()
        assert not own.done()
        coming.note(each)
    assert await own == events[-1].sequence
    assert await coming.newest("e" * 32, events[-1].sequence, within_s=60) == 0
    coming.drop(events[:-1])
    assert await coming.newest("d" * 32, events[-1].sequence, within_s=60) == events[-1].sequence
    coming.drop(events)
    assert await coming.newest("d" * 32, events[-1].sequence, within_s=60) == 0


async def test_what_does_not_come_in_time_is_not_visible():
    coming = Coming()
    with pytest.raises(NotVisible, match="read up to 0, not yet 1"):
        await coming.newest("d" * 32, 1, within_s=0)
    coming.shown(1)
    assert await coming.newest("d" * 32, 1, within_s=0) == 0
