"""Following the log into views: silent about the past, one call for each event after it."""

import asyncio
from pathlib import Path

from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted
from libs.common.events.envelope import Aggregate, Cause, Draft, Position
from libs.common.events.fact import Fact
from libs.common.events.project import ProjectCreated, ProjectRenamed
from libs.common.events.rollout import WorkloadRemoved
from libs.common.log.memory import MemoryLog
from libs.common.log.snapshots import Kept, Snapshot
from libs.common.log.views import follow_views
from libs.common.set_aside import Aside
from libs.common.state.aggregates import BY_NAME
from libs.common.state.view import OF_DEPLOYMENTS, Views
from tests.support.polling import eventually

CAUSE = Cause(actor="key:default", correlation_id="c")


async def say(log: MemoryLog, fact: Fact, id_: str) -> int:
    aggregate = Aggregate("default", fact.aggregate, id_)
    heads = (await log.load(aggregate.filter)).heads
    return (await log.append([Draft(aggregate, fact)], heads=heads, cause=CAUSE)).sequence


async def test_it_calls_once_when_caught_up_and_then_for_each_event() -> None:
    log, views = MemoryLog(), Views()
    await say(log, DeploymentCreated(name="one"), "d1")
    end = await say(log, ProjectCreated(name="p"), "p1")
    caught_up: list[int] = []
    changes: list[tuple[str, str]] = []
    task = asyncio.ensure_future(
        follow_views(
            log,
            views,
            Aside("follow", {}),
            on_caught_up=caught_up.append,
            on_change=lambda view, event: changes.append((view.deployment_id, event.type)),
            on_importing=lambda _: None,
        )
    )
    try:
        await eventually(lambda: bool(caught_up))
        assert (caught_up, changes, views.sequence) == ([end], [], end)
        assert set(views.by_id) == {"d1"}

        await say(log, DeploymentDeleted(name="one"), "d1")
        await say(log, ProjectCreated(name="q"), "q1")
        await say(log, WorkloadRemoved(), "d1")
        await eventually(lambda: len(changes) == 2)
        assert changes == [("d1", "DeploymentDeleted"), ("d1", "WorkloadRemoved")]
        assert set(views.by_id) == set()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_of_an_import_it_calls_when_all_of_it_is_there_and_for_no_event() -> None:
    original, log, views = MemoryLog(), MemoryLog(), Views()
    for number in range(3):
        await say(original, DeploymentCreated(name="one"), f"d{number}")
    events = [event async for event in original.read_raw()]
    calls: list[object] = []
    task = asyncio.ensure_future(
        follow_views(
            log,
            views,
            Aside("follow", {}),
            on_caught_up=calls.append,
            on_change=lambda view, _: calls.append(view.deployment_id),
            on_importing=lambda importing: calls.append(str(importing)),
        )
    )
    try:
        await eventually(lambda: calls == ["None", 0])
        await log.restore(events[:2], until=3)
        await eventually(lambda: "importing 2 of 3" in calls)
        assert not views.by_id
        await log.restore(events[2:], until=3)
        await eventually(lambda: calls[-2:] == ["None", 3])
        assert set(views.by_id) == {"d0", "d1", "d2"}
        await say(log, DeploymentDeleted(name="one"), "d1")
        await eventually(lambda: calls[-1] == "d1")
        assert {call for call in calls if call in views.by_id} == {"d1"}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_not_named_by_a_deployments_id_is_followed_and_kept_over_a_restart(
    tmp_path: Path,
) -> None:
    log, snapshot = MemoryLog(), Snapshot(tmp_path / "test.snapshot")
    kinds = (*OF_DEPLOYMENTS, BY_NAME["project"])
    views, heard = Views(kinds), list[str]()
    caught_up = asyncio.Event()
    await say(log, DeploymentCreated(name="one"), "d1")
    await say(log, ProjectCreated(name="p"), "p1")
    task = asyncio.ensure_future(
        follow_views(
            log,
            views,
            Aside("follow", {}),
            on_caught_up=lambda _: caught_up.set(),
            on_change=lambda view, _: heard.append(view.deployment_id),
            on_apart=lambda event: heard.append(event.aggregate.id),
            on_importing=lambda _: None,
        )
    )
    try:
        await eventually(caught_up.is_set)
        assert heard == []
        await say(log, ProjectRenamed(name="q"), "p1")
        await say(log, ProjectCreated(name="r"), "p2")
        end = await say(log, DeploymentDeleted(name="one"), "d1")
        await eventually(lambda: heard == ["p1", "p2", "d1"])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [state.name for state in views.apart.values()] == ["q", "r"]

    newest = (await log.load(Aggregate("default", "deployment", "d1").filter)).events[-1]
    await snapshot.write(Kept.of(views), Position(end, await log.identity(), newest.hash))
    again = Views(kinds)
    assert await snapshot.read(log, again)
    assert (again.apart, again.by_id, again.sequence) == (views.apart, views.by_id, end)
