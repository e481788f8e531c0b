"""Whatever happens in whatever order, it ends as the log says (promise 2)."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.cluster.port import ReplicaPhase
from libs.common.events.envelope import Recorded
from libs.common.events.replica import ReplicaFact, ReplicaState
from libs.common.events.rollout import (
    MoveReason,
    ReplicasRetiring,
    RetireReason,
    RolloutPhase,
    RolloutProgressed,
)
from libs.common.state.view import DeploymentView, evolve
from services.reconciler.stalling import ROLLOUT_S, is_overdue
from tests.support.deployments import by_load
from tests.support.polling import let_others_run
from tests.support.strategies import ROUTERS
from tests.unit.reconciler.scene import DEPLOYMENT, plan, spec
from tests.unit.reconciler.stage import NEVER_READY_IMAGE, REFUSED_IMAGE, Stage, spec_of

Action = tuple[str, int, int]

MARKS = {
    "cordon": MoveReason.NODE_CORDONED,
    "node ends": MoveReason.NODE_ENDS,
    "node lost": MoveReason.NODE_LOST,
}

FURTHER = ROUTERS[1:]

images = st.sampled_from(["a", "a", "b", "b", NEVER_READY_IMAGE, REFUSED_IMAGE])
numbers = st.integers(0, 3)


def acts(*names: str) -> st.SearchStrategy[Action]:
    return st.tuples(st.sampled_from(names), st.integers(0, 30), numbers)


actions = st.one_of(
    acts("step"),
    acts("step", "wake newest"),
    acts("health", "router", "end the stopping"),
    st.tuples(st.sampled_from(["router joins", "router leaves"]), st.just(0), numbers),
    acts("health goes on", "process goes on"),
    acts("wake old", "kill", "second process", "crash", "start the dead", "condemn"),
    acts("sicken", "recover", "health", "lose"),
    acts("cordon", "cordon", "node ends", "node lost", "unmark", "time goes by"),
    st.tuples(st.sampled_from(["spec", "scaled spec"]), images, numbers),
    acts("load", "load"),
    st.tuples(st.sampled_from(["disable", "delete"]), st.just("a"), numbers),
)


async def act(stage: Stage, name: str, what: int | str, number: int) -> None:  # noqa: PLR0912 - one case for each thing that can happen
    events = await stage.events()
    process = stage.processes[number % len(stage.processes)]
    match name, what:
        case "spec", str():
            await stage.register(spec_of(what, number))
        case "scaled spec", str():
            await stage.register(by_load(spec_of(what, number)))
        case "load", int():
            await stage.decide(what % 7)
        case "disable", str():
            await stage.register(spec(what, number, enabled=False))
        case "delete", _:
            await stage.delete()
        case "step", int():
            await stage.let_go(what)
        case "wake newest", _:
            for event in events[-1:]:
                process.wake(event)
        case "wake old", int():
            if events:
                process.wake(events[what % len(events)])
        case "kill", _:
            await process.kill()
            stage.processes[number % len(stage.processes)] = stage.new_process(is_held=True)
        case "second process", _:
            if len(stage.processes) == 1:
                stage.processes.append(stage.new_process(is_held=True))
        case "health", _:
            await stage.health()
        case "health goes on", _:
            await stage.health_goes_on()
        case "process goes on", _:
            process.wake(events[-1])
            await process.finish()
            process.hold()
        case "router", int():
            joined = sorted(await stage.routers())
            await stage.router(joined[what % len(joined)])
        case "router joins", _:
            await stage.join(FURTHER[number % len(FURTHER)])
        case "router leaves", _:
            await stage.leave(FURTHER[number % len(FURTHER)])
        case "crash", int():
            await stage.crash(what)
        case "cordon" | "node ends" | "node lost" | "unmark", int():
            await stage.mark(what, MARKS.get(name))
        case "time goes by", _:
            stage.now += timedelta(seconds=200)
        case "condemn", int():
            await stage.condemn(what)
        case "lose", int():
            await stage.lose(what)
        case "sicken", int():
            await stage.sicken(what)
        case "recover", _:
            stage.sick.clear()
        case "start the dead", _:
            await stage.start_all()
        case "end the stopping", _:
            await stage.end_all()


async def play(script: Sequence[tuple[str, int | str, int]], *, from_rest: bool) -> None:
    stage = Stage()
    await stage.register(spec("a", 2))
    stage.processes[0].wake((await stage.events())[-1])
    try:
        if from_rest:
            await stage.settle()
        for process in stage.processes:
            process.hold()
        for name, what, number in script:
            await act(stage, name, what, number)
            await let_others_run(1)
        await stage.settle()
        await check_end(stage)
        events = await stage.events()
        check_history(events)
        if not any(name in {"crash", "condemn", "sicken", "lose"} for name, _, _ in script):
            check_capacity(events)
    finally:
        for process in stage.processes:
            await process.kill()


async def check_end(stage: Stage) -> None:
    view = await stage.view()
    assert view is not None
    assert view.deployment is not None
    observed = (await stage.cluster.observe()).get(DEPLOYMENT)
    assert plan(view, observed, now=stage.now, routers=await stage.routers()).is_empty
    if view.deployment.is_deleted:
        assert view.rollout.is_removed
        assert observed is None
        return

    wanted, rollout, replicas = view.deployment.spec, view.rollout, await stage.observed()
    assert wanted is not None
    assert all(replica.phase is ReplicaPhase.RUNNING for replica in replicas)
    in_force = view.wanted_replicas
    check_load_is_met(view)
    of_run = [r for r in replicas if r.run_id == view.deployment.run_id]
    if wanted.image == REFUSED_IMAGE and in_force:
        assert rollout.failed_spec_id == view.deployment.spec_id
        assert not of_run
        return
    assert rollout.applied_spec_id == view.deployment.spec_id
    assert len(of_run) == in_force
    assert rollout.progress is not None
    if wanted.image == NEVER_READY_IMAGE and in_force:
        is_late = is_overdue(rollout.progress.since or stage.now, stage.now, ROLLOUT_S)
        assert rollout.progress.phase is (RolloutPhase.STALLED if is_late else RolloutPhase.WAITING_FOR_READY)
        assert all(
            line.ready_at is not None
            for line in view.roster.replicas
            if line.run_id != view.deployment.run_id
        )
        return
    assert len(replicas) == in_force
    assert len(view.roster.ready()) == in_force
    assert [run.run_id for run in rollout.runs] == ([view.deployment.run_id] if of_run else [])
    if of_run:
        assert rollout.healthy_spec_id == view.deployment.spec_id
        assert rollout.progress.phase is RolloutPhase.COMPLETE
    else:
        assert rollout.progress.phase is RolloutPhase.STOPPED


def check_load_is_met(view: DeploymentView) -> None:
    """Where load moves the number, whichever run serves has at least as many as are in force."""
    deployment = view.deployment
    assert deployment is not None
    assert deployment.spec is not None
    ready = Counter(line.run_id for line in view.roster.ready())
    if deployment.spec.scale.is_autoscaled and ready:
        assert max(ready.values()) >= view.wanted_replicas


def check_history(events: Sequence[Recorded]) -> None:
    """What is said once is said once, and every fact has a cause that precedes it."""
    ids = {event.event_id: event.sequence for event in events}
    for event in events:
        if event.aggregate.kind == "rollout":
            assert event.cause.actor == "service:reconciler"
            assert event.cause.causation_id is not None
            assert ids[event.cause.causation_id] < event.sequence
    said = Counter(
        (event.type, event.data.get("spec_id"))
        for event in events
        if event.type in {"SpecHealthy", "SpecFailed", "WorkloadRemoved"}
    )
    assert all(count == 1 for count in said.values()), said


def check_capacity(events: Sequence[Recorded]) -> None:
    """A retirement leaves as many ready replicas as there were, or as many as are wanted."""
    view: DeploymentView | None = None
    for event, following in zip(events, [*events[1:], None], strict=True):
        if isinstance(event.fact, ReplicasRetiring):
            assert view is not None
            assert following is not None
            assert isinstance(following.fact, RolloutProgressed)
            before = _ready(view)
            after = _ready(evolve(view, event))
            # Of a spec that failed the runs before it keep what they had, which the moves tell.
            had = [move.replicas for move in view.rollout.moves if event.fact.reason is RetireReason.MOVED]
            assert after >= min(before, following.fact.replicas, *had)
        view = evolve(view, event)


def _ready(view: DeploymentView) -> int:
    return sum(
        line.state is ReplicaState.RUNNING and line.replica_id not in view.rollout.retiring
        for line in view.roster.replicas
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(actions, max_size=60), st.booleans())
def test_any_interleaving_converges(script, from_rest) -> None:
    asyncio.run(play(script, from_rest=from_rest))


@pytest.mark.parametrize(
    "script",
    [
        [],
        [("spec", "b", 2)],
        [("delete", "a", 0)],
        [("disable", "a", 1)],
        [("lose", 0, 0), ("cordon", 0, 0), ("scaled spec", NEVER_READY_IMAGE, 2)],
    ],
)
def test_the_plain_course(script) -> None:
    asyncio.run(play(script, from_rest=True))


async def test_a_replica_is_told_of_in_every_state() -> None:
    """What the plays above converge from: all that health can say of a replica."""
    stage = Stage()
    await stage.run("a", 1)
    process = stage.processes[0]
    await stage.register(spec("b", 1))
    process.wake(await stage.newest())
    await process.finish()
    await stage.health()
    await stage.start_all()
    await stage.sicken(0)
    await stage.health_goes_on()
    await stage.crash(1)
    await stage.health_goes_on()
    await stage.settle()
    said = [event.fact for event in await stage.events() if isinstance(event.fact, ReplicaFact)]
    assert {fact.replica.state for fact in said if fact.replica} == set(ReplicaState)
