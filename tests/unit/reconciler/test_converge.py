"""One pass of the reconciler, held still at the instants that matter."""

from collections.abc import Callable, Collection, Mapping

import pytest

from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedWorkload, Workload
from libs.common.errors import ClusterUnavailable, LogUnavailable
from libs.common.events.envelope import Aggregate, Cause, Draft, Position
from libs.common.events.project import ProjectCreated
from libs.common.events.rollout import (
    ReplicasRetiring,
    RetireReason,
)
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.log.port import Loaded
from services.reconciler.converge import Reconciler, Trigger
from tests.unit.reconciler.scene import DEPLOYMENT, TRACE, spec
from tests.unit.reconciler.stage import Stage, WatchedCluster


async def test_a_plan_that_slept_never_overwrites_a_newer_one(stage: Stage) -> None:
    sleeper = stage.processes[0]
    await stage.register(spec("a", 3))
    sleeper.wake(await stage.newest())
    await sleeper.hold_at("apply")

    stage.processes.append(stage.new_process())
    await stage.register(spec("b", 1))
    stage.processes[1].wake(await stage.newest())
    await stage.processes[1].finish()
    await sleeper.finish()

    assert [replica.template.image for replica in await stage.observed()] == ["b"]


async def test_a_death_between_effect_and_fact_doubles_nothing(stage: Stage) -> None:
    mortal = stage.processes[0]
    await stage.register(spec("a", 2))
    mortal.wake(await stage.newest())
    await mortal.hold_at("applied")
    before = await stage.observed()
    await mortal.kill()

    stage.processes[0] = stage.new_process()
    await stage.settle()
    assert {r.replica_id for r in await stage.observed()} == {r.replica_id for r in before}
    assert [e.type for e in await stage.events()].count("SpecApplied") == 1


async def test_nobody_retires_on_a_readiness_that_has_passed(stage: Stage) -> None:
    await stage.run("a", 1)
    process = stage.processes[0]
    await stage.register(spec("b", 1))
    process.wake(await stage.newest())
    await process.finish()
    await stage.health_goes_on()
    process.wake(await stage.newest())
    await process.hold_at("append")

    [candidate] = [r for r in await stage.observed() if r.template.image == "b"]
    stage.cluster.exit(candidate.replica_id, status=1)
    await stage.health()
    await process.finish()

    assert not any(isinstance(event.fact, ReplicasRetiring) for event in await stage.events())


class ForgetfulCluster(WatchedCluster):
    """Shows what it has shown before, once it is told to, until somebody wants to be sure of all of it."""

    old: Mapping[str, ObservedWorkload] | None = None

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        return await super().observe(deployment_id) if self.old is None else self.old

    async def confirm(
        self, deployment_id: str, replica_ids: Collection[str], seen: ObservedWorkload | None
    ) -> bool:
        if self.old is None:
            return False
        assert seen == self.old[deployment_id]
        shown = {replica.replica_id for replica in self.old[deployment_id].replicas}
        present = (await super().observe(deployment_id))[deployment_id].replicas
        assert set(replica_ids) == shown | {replica.replica_id for replica in present}
        self.old = None
        return True


async def test_nothing_is_done_or_told_because_of_what_the_cluster_showed_before(stage: Stage) -> None:
    await stage.run("a", 2)
    old = await stage.cluster.observe()
    await stage.register(spec("a", 1))
    await stage.settle()
    told, present = await stage.events(), await stage.observed()
    assert len(present) == 1

    forgetful = ForgetfulCluster(lambda: stage.now)
    vars(forgetful).update(vars(stage.cluster))
    forgetful.old = old
    assert await Reconciler(stage.log, forgetful, clock=lambda: stage.now).resync(DEPLOYMENT)
    assert forgetful.old is None
    assert (await stage.events(), await stage.observed()) == (told, present)


class AskedCluster(WatchedCluster):
    """Counts how often somebody wants to be sure."""

    asked = 0

    async def confirm(
        self, deployment_id: str, replica_ids: Collection[str], seen: ObservedWorkload | None
    ) -> bool:
        self.asked += 1
        return await super().confirm(deployment_id, replica_ids, seen)


async def test_who_makes_the_first_replicas_need_not_be_sure_that_there_are_none(stage: Stage) -> None:
    cluster = AskedCluster(lambda: stage.now)
    cluster.log = stage.log
    reconciler = Reconciler(stage.log, cluster, clock=lambda: stage.now)
    await stage.register(spec("a", 0))
    await reconciler.resync(DEPLOYMENT)
    assert cluster.asked
    cluster.asked = 0
    await stage.register(spec("a", 2))
    await reconciler.resync(DEPLOYMENT)
    assert not cluster.asked
    assert len((await cluster.observe())[DEPLOYMENT].replicas) == 2


async def test_what_is_appended_names_the_event_that_led_to_it(stage: Stage) -> None:
    await stage.register(spec("a", 1))
    cause = await stage.newest()
    stage.processes[0].wake(cause)
    await stage.processes[0].finish()
    for event in (await stage.events())[2:]:
        assert event.aggregate.kind == "rollout"
        assert event.cause.actor == "service:reconciler"
        assert event.cause.causation_id == cause.event_id
        assert event.cause.correlation_id == cause.cause.correlation_id


async def test_replicas_belong_to_the_trace_of_their_spec_whatever_woke_us(stage: Stage) -> None:
    await stage.register(spec("a", 1), traceparent=TRACE)
    await stage.say(EndpointsWithdrawn(replica_ids=(), reason=WithdrawReason.IDLE))
    woken_by = await stage.newest()
    assert woken_by.cause.traceparent is None
    stage.processes[0].wake(woken_by)
    await stage.processes[0].finish()
    [replica] = await stage.observed()
    assert replica.traceparent is not None
    assert replica.traceparent.split("-")[1] == TRACE.split("-")[1]


class CountingLog:
    def __init__(self, stage: Stage) -> None:
        self._log = stage.log
        self.loads = 0
        self.append = stage.log.append
        self.identity = stage.log.identity

    async def load(self, *filters: str) -> Loaded:
        self.loads += 1
        return await self._log.load(*filters)


async def test_an_event_that_a_pass_has_taken_in_costs_nothing(stage: Stage) -> None:
    await stage.register(spec("a", 1))
    log = CountingLog(stage)
    reconciler = Reconciler(log, stage.cluster)  # type: ignore[arg-type]  # the methods it calls
    for event in await stage.events():
        await reconciler.on_event(Trigger.by(event))
    loads = log.loads
    for event in await stage.events():
        await reconciler.on_event(Trigger.by(event))
    assert log.loads == loads


async def test_a_log_that_does_not_show_the_event_yet_is_asked_again_later(stage: Stage) -> None:
    await stage.register(spec("a", 1))
    ahead = Trigger(DEPLOYMENT, 99, "e", "c")
    with pytest.raises(LogUnavailable):
        await Reconciler(stage.log, stage.cluster).on_event(ahead)
    assert await stage.observed() == ()


async def test_an_unknown_cluster_is_not_an_empty_one(stage: Stage) -> None:
    await stage.run("a", 1)
    await stage.register(spec("a", 0))
    event = await stage.newest()
    stage.cluster.is_available = False
    with pytest.raises(ClusterUnavailable):
        await stage.processes[0].reconciler.on_event(Trigger.by(event))
    assert (await stage.newest()) == event


LOST = [
    pytest.param(lambda _: Position(1_000), id="a record without a log, of an event that is not there"),
    pytest.param(lambda log: Position(1_000, log, "gone"), id="an event after the end of a restored log"),
    pytest.param(lambda log: Position(3, log, "gone"), id="an event that is another one in the restored log"),
    pytest.param(lambda _: Position(1, "another", "gone"), id="another log, lower"),
    pytest.param(lambda _: Position(1_000, "another", "gone"), id="another log, higher"),
    pytest.param(lambda _: Position(3), id="a record without a log, of another deployment's event"),
]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("is_removal", [False, True], ids=["a plan", "a removal"])
async def test_a_plan_of_a_lost_history_is_taken_over_from(
    stage: Stage, lost: Callable[[str], Position], is_removal: bool
) -> None:
    await stage.register(spec("a", 1))
    event = await stage.newest()
    stranger = Aggregate("default", "project", "p")
    await stage.log.append([Draft(stranger, ProjectCreated(name="p"))], heads={}, cause=Cause("test", "c"))
    recorded = lost(await stage.log.identity())
    if is_removal:
        await stage.cluster.remove(DEPLOYMENT, fence=recorded)
    else:
        await MemoryCluster.apply(stage.cluster, Workload("default", DEPLOYMENT, ()), fence=recorded)
    reconciler = Reconciler(stage.log, stage.cluster)
    await reconciler.on_event(Trigger.by(event))
    assert [r.template.image for r in await stage.observed()] == ["a"]


async def test_of_two_that_take_over_the_newer_plan_stays(stage: Stage) -> None:
    await stage.register(spec("a", 2))
    await MemoryCluster.apply(stage.cluster, Workload("default", DEPLOYMENT, ()), fence=1_000)
    paused = stage.processes[0]
    paused.wake(await stage.newest())
    await paused.hold_at("apply")
    await stage.register(spec("b", 1))
    await Reconciler(stage.log, stage.cluster).on_event(Trigger.by(await stage.newest()))
    await paused.finish()
    assert [r.template.image for r in await stage.observed()] == ["b"]


async def test_a_deployment_that_the_log_does_not_know_is_not_touched(stage: Stage) -> None:
    assert await stage.processes[0].reconciler.resync("f" * 32) is False


async def test_a_stop_names_its_reason_in_the_log(stage: Stage) -> None:
    await stage.run("a", 2)
    await stage.delete()
    await stage.settle()
    reasons = [
        event.fact.reason for event in await stage.events() if isinstance(event.fact, ReplicasRetiring)
    ]
    assert reasons == [RetireReason.DELETED]
