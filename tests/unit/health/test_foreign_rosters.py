"""A roster that somebody else has written, as an import does: only what the cluster shows stays in it."""

import pytest

from libs.common.events.replica import Replica, ReplicaReason, ReplicaStarted, ReplicaState, ReplicaStopped
from tests.unit.health.test_watch import DEPLOYMENT, RUN, Scene

FORGED = "169.254.169.254:80"


def forged(scene: Scene, replica_id: str, state: ReplicaState) -> Replica:
    return Replica(
        replica_id=replica_id,
        run_id=RUN,
        spec_id="s",
        state=state,
        address=FORGED,
        created_at=scene.now,
        started_at=scene.now,
        ready_at=scene.now,
        reason=ReplicaReason.PROBE_SUCCEEDED,
    )


async def imported(scene: Scene, *replicas: Replica) -> None:
    """Appended by another hand, and followed by health as its follower does."""
    before = scene.records.views.sequence
    await scene.tell(ReplicaStarted(replica_id=replicas[0].replica_id, roster=replicas))
    async for event in scene.log.read("events.>", after=before):
        if scene.records.take_over(event):
            scene.watch.wake_for(event.aggregate.id)


def addresses(scene: Scene) -> set[str | None]:
    return {replica.address for replica in scene.records.rosters[DEPLOYMENT].replicas}


@pytest.mark.parametrize("state", list(ReplicaState))
async def test_a_replica_that_the_cluster_does_not_show_is_no_more(state: ReplicaState) -> None:
    scene = Scene()
    await scene.begin()
    await scene.observe()
    await imported(scene, forged(scene, "f" * 32, state))
    await scene.observe()
    assert FORGED not in addresses(scene)
    assert {r.replica_id for r in scene.records.rosters[DEPLOYMENT].replicas} == set(
        await scene.replica_ids()
    )


@pytest.mark.parametrize("state", list(ReplicaState))
async def test_a_replica_of_the_cluster_has_the_address_that_the_cluster_shows(state: ReplicaState) -> None:
    scene = Scene()
    await scene.begin()
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    await scene.observe()
    (shown,) = addresses(scene)
    await imported(scene, forged(scene, replica_id, state))
    await scene.observe()
    assert addresses(scene) == {shown}
    assert await scene.observe() == []


async def test_one_of_a_deployment_that_the_cluster_does_not_know_at_all() -> None:
    scene = Scene()
    await scene.restart_health()
    await imported(scene, forged(scene, "f" * 32, ReplicaState.RUNNING))
    assert await scene.observe() == ["ReplicaStopped"]
    fact = (await scene.events())[-1].fact
    assert isinstance(fact, ReplicaStopped)
    assert (fact.reason, fact.roster) == (ReplicaReason.LOST, ())


async def test_our_own_facts_are_no_news() -> None:
    scene = Scene()
    await scene.begin()
    await scene.observe()
    for event in await scene.events():
        assert not scene.records.take_over(event)
