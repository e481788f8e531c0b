"""What a pass of the reconciler tells of a spec that the cluster does not run, and when it tries it again."""

from datetime import timedelta

import pytest

from libs.common.cluster.port import Workload
from libs.common.errors import CannotApply, DeploymentUnavailable
from libs.common.events.replica import ReplicaState
from libs.common.events.rollout import (
    MoveReason,
    RolloutPhase,
    RolloutProgressed,
    SpecFailed,
    SpecFailedReason,
)
from services.reconciler.converge import Reconciler, Trigger
from tests.unit.reconciler.scene import DEPLOYMENT, spec
from tests.unit.reconciler.stage import REFUSED_IMAGE, Stage, WatchedCluster, spec_of


class FullCluster(WatchedCluster):
    async def apply(self, workload: Workload, *, fence: int) -> None:
        raise DeploymentUnavailable(f"exceeded quota: pods, at {fence} for {workload.deployment_id}")


async def test_a_rollout_that_the_cluster_holds_up_is_stalled_with_its_reason(stage: Stage) -> None:
    await stage.register(spec("a", 1))
    held = Reconciler(stage.log, FullCluster(lambda: stage.now), clock=lambda: stage.now, rollout_s=60)
    for _ in range(4):
        with pytest.raises(DeploymentUnavailable):
            await held.on_event(Trigger.by(await stage.newest()))
        stage.now += timedelta(seconds=30)
    told = [event.fact for event in await stage.events() if isinstance(event.fact, RolloutProgressed)]
    assert [fact.phase for fact in told] == [RolloutPhase.WAITING_FOR_READY, RolloutPhase.STALLED]
    assert (told[0].message or "").startswith("exceeded quota: pods")
    assert (told[1].message or "").startswith("0 of 1 replicas are ready after 60 s; exceeded quota: pods")


class PickyCluster(WatchedCluster):
    async def apply(self, workload: Workload, *, fence: int) -> None:
        raise CannotApply(f"too big at {fence}: {len(workload.runs)} run")


async def test_a_spec_that_the_cluster_can_never_run_says_why(stage: Stage) -> None:
    await stage.register(spec("a", 1))
    picky = Reconciler(stage.log, PickyCluster(lambda: stage.now))
    await picky.on_event(Trigger.by(await stage.newest()))
    assert [(f.reason, f.message) for f in await failures(stage)] == [
        (SpecFailedReason.CANNOT_APPLY, "too big at 2: 1 run")
    ]


class ChangeableCluster(WatchedCluster):
    """Refuses everything until it allows it."""

    allows = False

    async def apply(self, workload: Workload, *, fence: int) -> None:
        if not self.allows:
            raise CannotApply("a policy of the cluster refuses it: no pods on Sundays")
        await super().apply(workload, fence=fence)


async def test_a_spec_that_was_refused_is_applied_when_the_cluster_allows_it(stage: Stage) -> None:
    await stage.register(spec("a", 1))
    cluster = ChangeableCluster(lambda: stage.now)
    cluster.log = stage.log
    reconciler = Reconciler(stage.log, cluster)
    await reconciler.on_event(Trigger.by(await stage.newest()))
    before = await stage.events()
    assert len(await failures(stage)) == 1

    await reconciler.retry(DEPLOYMENT)
    assert await stage.events() == before

    cluster.allows = True
    # Nothing but a try finds that out.
    await reconciler.resync(DEPLOYMENT)
    assert await stage.events() == before
    await reconciler.retry(DEPLOYMENT)
    told = [event.type for event in (await stage.events())[len(before) :]]
    assert told == ["SpecApplied"]
    view = await stage.view()
    assert view is not None
    assert (view.rollout.failed_spec_id, view.rollout.failure) == (None, None)
    assert [one.template.image for one in (await cluster.observe())[DEPLOYMENT].replicas] == ["a"]
    await reconciler.retry(DEPLOYMENT)
    assert len(await stage.events()) == len(before) + 1


async def test_a_spec_of_which_more_was_refused_is_applied_anew_when_the_cluster_allows_it(
    stage: Stage,
) -> None:
    """A policy may come after the first replicas of a spec."""
    cluster = stage.cluster = ChangeableCluster(lambda: stage.now)
    cluster.log, cluster.allows = stage.log, True
    stage.processes[0] = stage.new_process()
    await stage.run("a", 1)
    applied = await stage.view()
    cluster.allows = False
    cluster.mark((await stage.observed())[0].replica_id, MoveReason.NODE_LOST)
    await stage.settle()
    refused = await stage.view()
    assert applied is not None
    assert refused is not None
    assert refused.rollout.failed_spec_id == applied.rollout.applied_spec_id is not None

    cluster.allows = True
    await stage.processes[0].reconciler.retry(DEPLOYMENT)
    await stage.settle()
    view = await stage.view()
    assert view is not None
    assert (view.rollout.failed_spec_id, view.rollout.failure) == (None, None)
    assert view.rollout.applied_spec_id == applied.rollout.applied_spec_id
    assert len(await failures(stage)) == 1
    assert [one.state for one in view.roster.replicas] == [ReplicaState.RUNNING]


async def test_a_spec_without_a_command_is_told_once_and_costs_the_old_run_nothing(stage: Stage) -> None:
    await stage.run("a", 1)
    await stage.register(spec_of(REFUSED_IMAGE, 1))
    await stage.settle()
    assert [fact.reason for fact in await failures(stage)] == [SpecFailedReason.NO_COMMAND]
    assert [r.template.image for r in await stage.observed()] == ["a"]


async def failures(stage: Stage) -> list[SpecFailed]:
    return [event.fact for event in await stage.events() if isinstance(event.fact, SpecFailed)]
