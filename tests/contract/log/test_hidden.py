"""The newest event of a subject that is not understood hides none before it that is (promise 10), over both
adapters."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from libs.common.events.envelope import Aggregate, Draft
from libs.common.events.fact import Fact
from libs.common.events.replica import RosterRecorded
from libs.common.events.rollout import LiveRun, SpecApplied, SpecFailed
from libs.common.events.router import RouterJoined
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.log.views import follow_views
from libs.common.set_aside import Aside
from libs.common.state.aggregates import followed_by
from libs.common.state.router import aggregate_of, joined
from libs.common.state.view import DeploymentView, Views
from tests.support.event_logs import AnyLog
from tests.support.golden_facts import GOLDEN
from tests.support.names import CAUSE
from tests.support.polling import PATIENCE_S

ID = "a" * 32
Altered = Callable[[Stored], Stored]


def of_a_later_version(event: Stored) -> Stored:
    schema = event.headers["ce-dataschema"].rpartition(":")[0] + ":v99"
    return replace(event, headers={**event.headers, "ce-dataschema": schema})


def without_headers(event: Stored) -> Stored:
    return replace(event, headers={})


def without_json(event: Stored) -> Stored:
    return replace(event, data=b"+ACK")


ALTERED = [
    pytest.param(alter, id=alter.__name__) for alter in (of_a_later_version, without_headers, without_json)
]


def applied(spec_id: str) -> SpecApplied:
    run_id = "r" * 32
    return SpecApplied(spec_id=spec_id, run_id=run_id, runs=(LiveRun(run_id=run_id, spec_id=spec_id),))


def failed(spec_id: str) -> SpecFailed:
    golden = GOLDEN["SpecFailed"]
    assert isinstance(golden, SpecFailed)
    return golden.model_copy(update={"spec_id": spec_id})


async def filled(log: AnyLog, *facts: Fact | tuple[Fact, Altered], of: Aggregate | None = None) -> None:
    """One event for each fact; altered afterwards where a way is given, as it came into the log."""
    source = MemoryLog()
    heads: dict = {}
    for one in facts:
        fact = one[0] if isinstance(one, tuple) else one
        aggregate = of or Aggregate("default", fact.aggregate, ID)
        heads |= (await source.append([Draft(aggregate, fact)], heads=heads, cause=CAUSE)).heads
    stored = [event async for event in source.read_raw()]
    for place, one in enumerate(facts):
        if isinstance(one, tuple):
            stored[place] = one[1](stored[place])
    await log.restore(stored, until=len(stored))


async def views_at_start(log: AnyLog) -> Views:
    """As a follower has them when it has caught up, without a snapshot."""
    views, caught_up = Views(followed_by("router")), asyncio.Event()
    following = asyncio.ensure_future(
        follow_views(
            log,
            views,
            Aside("test", {}),
            on_caught_up=lambda _: caught_up.set(),
            on_change=lambda *_: None,
            on_importing=lambda _: None,
        )
    )
    try:
        await asyncio.wait_for(caught_up.wait(), PATIENCE_S)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return views


async def replayed(log: AnyLog) -> Views:
    """By all events, one after the other."""
    views = Views(followed_by("router"))
    async for event in log.read(">"):
        views.apply(event)
    return views


def of(views: Views) -> DeploymentView:
    return views.by_id[ID]


@pytest.mark.parametrize("alter", ALTERED)
async def test_a_load_has_the_one_before_it_too(any_log: AnyLog, alter: Altered):
    await filled(any_log, applied("s1"), applied("s2"), (applied("s3"), alter), (applied("s4"), alter))
    loaded = await any_log.load(Aggregate("default", "rollout", ID).filter)
    assert [(event.sequence, event.fact) for event in loaded.events] == [(2, applied("s2")), (4, None)]
    assert loaded.sequence == 4
    assert [head.sequence for head in loaded.heads.values()] == [4]
    again = await any_log.load(Aggregate("default", "rollout", ID).filter)
    assert again == loaded


@pytest.mark.parametrize(
    ("until", "given"),
    [
        pytest.param(4, [2, 3, 4], id="all"),
        pytest.param(3, [2, 3], id="one that hides"),
        pytest.param(2, [2], id="before them"),
    ],
)
async def test_so_has_a_load_of_the_past(any_log: AnyLog, until: int, given: list[int]):
    alter = of_a_later_version
    await filled(any_log, applied("s1"), applied("s2"), (applied("s3"), alter), (failed("s3"), alter))
    loaded = await any_log.load(">", until=until)
    assert [event.sequence for event in loaded.events] == given


async def test_one_that_hides_nothing_stands_alone(any_log: AnyLog):
    await filled(any_log, (applied("s1"), without_headers), failed("s0"), applied("s2"))
    assert [event.sequence for event in (await any_log.load(">", until=2)).events] == [1, 2]


@pytest.mark.parametrize("alter", ALTERED)
async def test_views_are_at_a_start_what_all_events_say(any_log: AnyLog, alter: Altered):
    """The one before it is folded at its place: a spec that failed after it was applied has failed."""
    await filled(
        any_log,
        applied("s1"),
        applied("s2"),
        failed("s2"),
        (applied("s2"), alter),
        (RosterRecorded(page=0, pages=1, replicas=()), alter),
    )
    view = of(await views_at_start(any_log))
    assert (view.rollout.applied_spec_id, view.rollout.failed_spec_id) == ("s2", "s2")
    assert view == of(await replayed(any_log))


async def test_so_are_those_that_are_apart_from_deployments(any_log: AnyLog):
    await filled(any_log, RouterJoined(), (RouterJoined(), of_a_later_version), of=aggregate_of("router-2"))
    apart = (await views_at_start(any_log)).apart
    assert "router-2" in joined(apart)
    assert apart == (await replayed(any_log)).apart
