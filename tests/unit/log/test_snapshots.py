"""A follower goes on from its snapshot, and from the log wherever the snapshot does not fit."""
# ruff: noqa: ASYNC240 - small files, and nobody else waits

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given

from libs.common.events.deployment import DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Position, Recorded
from libs.common.events.rollout import ReplicasRetiring, RetireReason, WorkloadRemoved
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.log import snapshots, views
from libs.common.log.memory import MemoryLog
from libs.common.log.port import CaughtUp, Importing, Loaded
from libs.common.log.snapshots import Kept, Snapshot
from libs.common.log.views import follow_views
from libs.common.set_aside import Aside
from libs.common.spec.model import ExecAction, HealthCheck, HealthChecks, Spec
from libs.common.state.view import Views
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog
from tests.support.polling import eventually
from tests.support.strategies import histories, recorded, specs

LIVING, LEAVING, GONE = "a" * 32, "b" * 32, "c" * 32


class ReadLog(MemoryLog):
    """Counts what followers were given."""

    followed = 0

    async def follow(
        self, *filters: str, after: int | None = None
    ) -> AsyncIterator[Recorded | CaughtUp | Importing]:
        async for item in super().follow(*filters, after=after):
            self.followed += isinstance(item, Recorded)
            yield item


class HeldLog(PoisonedLog):
    """Answers a load late, with what was there when it was asked."""

    is_held, waiting = False, 0

    def __init__(self, log: ReadLog) -> None:
        super().__init__(log)
        self.log, self.go = log, asyncio.Event()

    async def load(self, *filters: str, until: int | None = None) -> Loaded:
        loaded = await super().load(*filters, until=until)
        if self.is_held:
            self.waiting += 1
            await self.go.wait()
        return loaded


async def tell_of_three(log: MemoryLog) -> None:
    """One that runs, one whose replica is leaving, and one that is deleted and gone."""
    for deployment_id in (LIVING, LEAVING, GONE):
        story = Storyteller(log, deployment_id)
        await story.create()
        if deployment_id != GONE:
            await story.ready("r1", "127.0.0.1:8001")
    story = Storyteller(log, LEAVING)
    await story.tell(ReplicasRetiring(replica_ids=("r1",), reason=RetireReason.DISABLED))
    await story.tell(EndpointsWithdrawn(replica_ids=("r1",), reason=WithdrawReason.IDLE))
    story = Storyteller(log, GONE)
    await story.tell(DeploymentDeleted(name="demo"))
    await story.tell(WorkloadRemoved())


@asynccontextmanager
async def following(
    log: MemoryLog, snapshot: Snapshot | None, aside: Aside | None = None
) -> AsyncIterator[Views]:
    """Caught up."""
    followed, caught_up = Views(), asyncio.Event()
    task = asyncio.ensure_future(
        follow_views(
            log,
            followed,
            aside or Aside("follow", {}),
            on_caught_up=lambda _: caught_up.set(),
            on_change=lambda *_: None,
            on_importing=lambda _: None,
            snapshot=snapshot,
        )
    )
    try:
        await eventually(caught_up.is_set)
        yield followed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "WORTH_A_SNAPSHOT", 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "views" / "test.snapshot"


@pytest.fixture
async def log(path: Path) -> ReadLog:
    """With a snapshot of all that there is."""
    log = ReadLog()
    await tell_of_three(log)
    async with following(log, Snapshot(path)):
        await eventually(path.exists)
    log.followed = 0
    return log


async def fresh(log: MemoryLog) -> Views:
    async with following(log, None) as followed:
        return followed


async def test_a_follower_goes_on_from_its_snapshot(log: ReadLog, path: Path) -> None:
    story = Storyteller(log, LIVING)
    await story.register(spec_id="spec-2")
    async with following(log, Snapshot(path)) as followed:
        assert log.followed == 1
        assert followed.by_id == (await fresh(log)).by_id
        assert followed.sequence == await log.last_sequence()
        await story.register(spec_id="spec-3")
        await eventually(lambda: followed.by_id[LIVING].deployment.spec_id == "spec-3")


async def test_what_was_deleted_is_not_in_it(log: ReadLog, path: Path) -> None:
    assert GONE.encode() not in path.read_bytes()
    async with following(log, Snapshot(path)) as followed:
        assert set(followed.by_id) == {LIVING, LEAVING}
        assert log.followed == 0


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def changed(content: bytes) -> bytes:
    return content.replace(b"r1", b"r2")


def sealed_anew(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    """Another head, under a digest that fits."""

    def damage(content: bytes) -> bytes:
        head, _, rest = content.partition(b"\n")
        lines = json.dumps(change(json.loads(head))).encode() + b"\n" + rest.rpartition(b"\n")[0] + b"\n"
        return lines + hashlib.sha256(lines).hexdigest().encode()

    return damage


DAMAGES = {
    "empty": lambda _: b"",
    "cut": cut,
    "changed": changed,
    "not ours": lambda _: b"\x80\x04not json",
    "other code": sealed_anew(lambda head: {**head, "code": "another"}),
    "another log": sealed_anew(lambda head: {**head, "log": "another"}),
    "another event": sealed_anew(lambda head: {**head, "hash": "another"}),
    "an event that is not there": sealed_anew(lambda head: {**head, "sequence": 10_000}),
    "too few views": sealed_anew(lambda head: {**head, "views": 99}),
    "no head": sealed_anew(lambda _: []),
    "a head without a sequence": sealed_anew(lambda head: {"code": head["code"]}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_one_that_does_not_fit_is_thrown_away(
    log: ReadLog, path: Path, damage: Callable[[bytes], bytes]
) -> None:
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    async with following(log, Snapshot(path)) as followed:
        assert log.followed > 3
        assert followed.by_id == (await fresh(log)).by_id
        # A whole one takes its place.
        await eventually(lambda: path.read_bytes() != damaged)
    log.followed = 0
    async with following(log, Snapshot(path)):
        assert log.followed == 0


async def test_what_is_no_file_is_replaced_and_waited_for_by_nobody(log: ReadLog, path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text("of one that was killed")
    async with following(log, Snapshot(path)) as followed:
        assert followed.by_id == (await fresh(log)).by_id
        await eventually(path.is_file)
    assert not draft.exists()


async def test_a_log_that_was_restored_from_a_backup_is_read_again(log: ReadLog, path: Path) -> None:
    earlier = log.as_of(4)
    async with following(earlier, Snapshot(path)) as followed:
        assert followed.by_id == (await fresh(earlier)).by_id
        assert set(followed.by_id) == {LIVING}


async def test_a_snapshot_that_cannot_be_written_keeps_nobody_up(tmp_path: Path) -> None:
    log = ReadLog()
    await tell_of_three(log)
    (tmp_path / "views").write_text("in the way")
    async with following(log, Snapshot(tmp_path / "views" / "test.snapshot")) as followed:
        await Storyteller(log, LIVING).register(spec_id="spec-2")
        await eventually(lambda: followed.by_id[LIVING].deployment.spec_id == "spec-2")


async def write_one_with_leaving_set_aside(path: Path) -> HeldLog:
    """A snapshot in which one view lacks its newest event; that event is poison still."""
    log = HeldLog(ReadLog())
    await tell_of_three(log.log)
    aside = Aside("follow", {})
    async with following(log, None, aside) as followed:
        log.poisoned = {LEAVING}
        await Storyteller(log, LEAVING).register(spec_id="spec-2")
        await eventually(lambda: LEAVING in aside)
        await Storyteller(log, LIVING).register(spec_id="spec-2")
        await eventually(lambda: followed.by_id[LIVING].deployment.spec_id == "spec-2")
        position = Position(followed.sequence, await log.identity())
        await Snapshot(path).write(Kept.of(followed, aside.subjects), position)
    return log


async def test_one_that_is_set_aside_keeps_no_snapshot_from_being_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "WORTH_A_SNAPSHOT", 4)
    log = PoisonedLog(MemoryLog())
    await Storyteller(log, LIVING).create()
    log.poisoned = {LEAVING}
    aside = Aside("follow", {})
    async with following(log, Snapshot(path), aside):
        await Storyteller(log, LEAVING).create()
        await eventually(lambda: LEAVING in aside)
        for number in range(5):
            await Storyteller(log, LIVING).register(spec_id=f"spec-{number}")
        await eventually(path.exists)
        assert LEAVING in aside


async def test_what_was_set_aside_is_read_from_the_log_by_a_start_from_the_snapshot(path: Path) -> None:
    log = await write_one_with_leaving_set_aside(path)
    log.poisoned = set()
    aside = Aside("follow", {})
    log.log.followed = 0
    async with following(log, Snapshot(path), aside) as followed:
        assert log.log.followed == 0
        assert followed.by_id[LEAVING].deployment.spec_id == "spec-2"
        assert followed.by_id == (await fresh(log)).by_id
        assert not aside.subjects


async def test_what_still_cannot_be_handled_keeps_its_state_over_a_start_and_comes_back(path: Path) -> None:
    log = await write_one_with_leaving_set_aside(path)
    aside = Aside("follow", {})
    async with following(log, Snapshot(path), aside) as followed:
        assert LEAVING in aside
        assert followed.by_id[LEAVING].deployment.spec_id == "spec-1"
        assert followed.by_id[LEAVING].roster.replicas
        assert followed.by_id[LIVING].deployment.spec_id == "spec-2"
        await Storyteller(log, LEAVING).register(spec_id="spec-3")
        log.poisoned = set()
        await eventually(lambda: LEAVING not in aside)
        assert followed.by_id[LEAVING].deployment.spec_id == "spec-3"
        assert followed.by_id == (await fresh(log)).by_id


async def test_an_event_that_comes_while_one_set_aside_is_read_again_is_not_lost() -> None:
    log, aside = HeldLog(ReadLog()), Aside("follow", {})
    story, others = Storyteller(log.log, LEAVING), Storyteller(log.log, LIVING)
    await story.create()
    async with following(log, None, aside) as followed:
        log.poisoned = {LEAVING}
        await story.register(spec_id="spec-2")
        await eventually(lambda: LEAVING in aside)
        log.poisoned = set()
        log.is_held = True
        await eventually(lambda: log.waiting)
        await story.register(spec_id="spec-3")
        await others.create()
        await eventually(lambda: LIVING in followed.by_id)
        log.go.set()
        await eventually(lambda: LEAVING not in aside)
        assert followed.by_id[LEAVING].deployment.spec_id == "spec-3"


async def test_it_is_for_its_owner_alone(log: ReadLog, path: Path) -> None:  # noqa: ARG001
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@given(events=histories())
def test_every_view_comes_back_as_it_was(events: list[Recorded]) -> None:
    comes_back(events)


@given(spec=specs)
def test_so_does_one_with_a_check_that_runs_a_command(spec: Spec) -> None:
    """Of such a check no headers are shown."""
    command = HealthCheck(exec=ExecAction(command=("true",)))
    checked = spec.model_copy(update={"health_checks": HealthChecks(liveness=command)})
    fact = SpecRegistered(spec_id="s", run_id="r", spec=checked)
    comes_back([recorded(fact, 1, aggregate_id=LIVING)])


def comes_back(events: list[Recorded]) -> None:
    before = Views()
    for event in events:
        before.apply(event)
    lines = list(snapshots._lines(Kept.of(before), Position(1)))[1:]
    after = [snapshots._views().validate_json(line) for line in lines]
    assert after == list(before)
