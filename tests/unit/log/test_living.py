"""Without a snapshot a follower reads what lives, and of what is gone the names alone."""

import asyncio
from pathlib import Path

import pytest

from libs.common.events.envelope import Cause, Draft
from libs.common.events.router import RouterJoined
from libs.common.log import living
from libs.common.log.living import read_living
from libs.common.log.memory import MemoryLog
from libs.common.log.snapshots import Snapshot
from libs.common.set_aside import Aside
from libs.common.state.aggregates import followed_by
from libs.common.state.router import aggregate_of
from libs.common.state.view import Views
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually, let_others_run
from tests.unit.log.test_snapshots import LEAVING, LIVING, ReadLog, following, fresh, tell_of_three


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone is enough, and each is loaded by itself."""
    monkeypatch.setattr(living, "WORTH_IT", 1)
    monkeypatch.setattr(living, "AT_ONCE", 1)


@pytest.fixture
async def log() -> ReadLog:
    log = ReadLog()
    await tell_of_three(log)
    await log.append(
        [Draft(aggregate_of("router-2"), RouterJoined())], heads={}, cause=Cause("test", "router-2")
    )
    return log


async def test_the_views_are_those_of_all_events(log: ReadLog, tmp_path: Path) -> None:
    async with following(log, Snapshot(tmp_path / "none.snapshot")) as followed:
        assert log.followed == 0
        assert set(followed.by_id) == {LIVING, LEAVING}
        assert followed.by_id == (await fresh(log)).by_id
        assert followed.sequence == await log.last_sequence()
        await Storyteller(log, LIVING).register(spec_id="spec-2")
        await eventually(lambda: followed.by_id[LIVING].deployment.spec_id == "spec-2")


async def test_what_is_apart_is_there_too(log: ReadLog) -> None:
    views = Views(followed_by("reconciler"))
    assert await read_living(log, views, Aside("follow", {})) == await log.last_sequence()
    assert views.apart.keys() == {aggregate_of("router-2")}


async def test_they_are_kept_for_the_next_start(log: ReadLog, tmp_path: Path) -> None:
    path = tmp_path / "some.snapshot"
    async with following(log, Snapshot(path)):
        await eventually(path.exists)
    async with following(PoisonedLog(log), Snapshot(path)) as followed:
        assert set(followed.by_id) == {LIVING, LEAVING}


async def test_where_few_are_gone_all_events_are_read(
    log: ReadLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(living, "WORTH_IT", 2)
    async with following(log, Snapshot(tmp_path / "none.snapshot")) as followed:
        assert log.followed > 0
        assert set(followed.by_id) == {LIVING, LEAVING}


async def test_what_cannot_be_taken_in_is_set_aside_and_read_again(log: ReadLog, tmp_path: Path) -> None:
    poisoned, aside = PoisonedLog(log), Aside("follow", {})
    poisoned.poisoned.add(LIVING)
    async with following(poisoned, Snapshot(tmp_path / "none.snapshot"), aside) as followed:
        assert (set(followed.by_id), aside.subjects) == ({LEAVING}, {LIVING})
        poisoned.poisoned.clear()
        await eventually(lambda: LIVING in followed.by_id)
        assert followed.by_id == (await fresh(log)).by_id


async def test_what_comes_and_goes_meanwhile_is_followed(tmp_path: Path) -> None:
    """Its end is among what is gone, and the events up to there come by following."""

    class Moving(ReadLog):
        is_first = True

        async def last_sequence(self) -> int:
            last = await super().last_sequence()
            if self.is_first:
                self.is_first = False
                await Storyteller(self, "d" * 32).create()
                short = Storyteller(self, "e" * 32)
                await short.create()
                await short.delete()
                await short.removed()
            return last

    moving = Moving()
    await tell_of_three(moving)
    async with following(moving, Snapshot(tmp_path / "none.snapshot")) as followed:
        assert set(followed.by_id) == {LIVING, LEAVING, "d" * 32}
        assert followed.by_id == (await fresh(moving)).by_id


async def test_an_import_is_waited_for_as_ever(log: ReadLog, tmp_path: Path) -> None:
    events = [event async for event in log.read_raw()]
    copy = MemoryLog()
    await copy.restore(events[:2], until=len(events))

    async def finish() -> None:
        await let_others_run()
        await copy.restore(events[2:], until=len(events))

    finishing = asyncio.ensure_future(finish())
    async with following(copy, Snapshot(tmp_path / "none.snapshot")) as followed:
        await finishing
        assert followed.by_id == (await fresh(copy)).by_id
        assert followed.sequence == len(events)
