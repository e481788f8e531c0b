"""A roster that somebody else has written, as an import does: only what the cluster shows stays in it."""

import pytest

from libs.common.events.envelope import select
from libs.common.events.replica import Replica, ReplicaReason, ReplicaStarted, ReplicaState, ReplicaStopped
from tests.support import earlier_facts
from tests.support.deployments import a_roster
from tests.support.earlier_facts import earlier
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
    started = ReplicaStarted(replica_id=replicas[0].replica_id, replica=replicas[0])
    await scene.tell(a_roster(*replicas), started)
    view = scene.records.views.by_id[DEPLOYMENT]
    async for event in scene.log.read("events.>", after=before):
        if scene.records.take_over(view, event):
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
    assert (fact.reason, fact.replica) == (ReplicaReason.LOST, None)


async def test_our_own_facts_are_no_news() -> None:
    scene = Scene()
    await scene.begin()
    await scene.observe()
    async for event in scene.log.read(select(kind="replica")):
        assert not scene.records.take_over(scene.records.views.by_id[DEPLOYMENT], event)


@pytest.mark.parametrize("restarts", [False, True], ids=["followed", "loaded"])
async def test_the_roster_of_a_home_of_version_1_is_taken_over_with_the_first_change(restarts: bool) -> None:
    """Its facts had the whole roster. The first append records all pages at once, and what is read by the
    newest event of each subject is right from there on, also when the old facts are replaced one by one."""
    scene = Scene()
    await scene.begin(40)
    ids = await scene.replica_ids()
    lines = [
        forged(scene, replica_id, ReplicaState.STARTING).model_copy(
            update={"address": None, "state": ReplicaState.PENDING}
        )
        for replica_id in ids
    ]
    before = scene.records.views.sequence
    for kind in (earlier_facts.ReplicaStopped, earlier_facts.ReplicaStarted):
        await scene.tell(earlier(kind, ids[0], lines))
    if restarts:
        await scene.restart_health()
    else:
        view = scene.records.views.by_id[DEPLOYMENT]
        async for event in scene.log.read("events.>", after=before):
            scene.records.take_over(view, event)
    assert list(scene.records.rosters[DEPLOYMENT].by_id) == sorted(ids)
    assert await scene.observe() == []
    scene.cluster.start(ids[0])
    last = await scene.log.last_sequence()
    assert await scene.observe() == ["ReplicaStarted"]
    written = [event async for event in scene.log.read("events.>", after=last)]
    assert [(event.type, event.page) for event in written] == [
        ("RosterRecorded", 0),
        ("RosterRecorded", 1),
        ("RosterRecorded", 2),
        ("ReplicaStarted", None),
    ]
    assert len({event.cause.correlation_id for event in written}) == 1
    scene.cluster.start(ids[1])
    await scene.observe()
    mine = scene.records.rosters[DEPLOYMENT]
    await scene.restart_health()
    assert scene.records.rosters[DEPLOYMENT] == mine
    assert [r.state for r in mine.replicas].count(ReplicaState.STARTING) == 2
    assert len(mine.replicas) == 40
