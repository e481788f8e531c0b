"""What the facts of replicas say they come of: what was asked for, and never what it was not.

The cluster carries out the checks itself here, so that a test says when a replica is ready.
"""

import pytest

from libs.common.events.deployment import DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Recorded, select
from libs.common.events.rollout import RolloutPhase, RolloutProgressed
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from tests.unit.health.test_watch import RUN, SPEC, TRACE, Scene


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


async def newest(scene: Scene, event_type: str) -> Recorded:
    return [event async for event in scene.log.read(select(event_type=event_type))][-1]


async def test_a_first_readiness_continues_the_change_that_asked_for_it(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    scene.cluster.say(replica_id, ready=True)
    await scene.observe()
    (applied,) = [event async for event in scene.log.read(select(event_type="SpecApplied"))]
    for event in await scene.events():
        assert event.cause.actor == "service:health"
        assert event.cause.correlation_id == "the request"
        assert event.cause.causation_id == applied.event_id
        assert event.cause.traceparent is not None
        assert event.cause.traceparent.split("-")[1] == TRACE.split("-")[1]


async def test_a_crash_was_asked_for_by_nobody(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    await scene.observe()
    scene.cluster.exit(replica_id, signal=9)
    await scene.observe()
    crash = (await scene.events())[-1]
    assert crash.type == "ReplicaStopped"
    assert crash.cause.correlation_id == "the request"
    assert crash.cause.causation_id is None


async def test_a_readiness_that_comes_back_was_asked_for_by_nobody(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    for is_ready in (True, False, True):
        scene.cluster.say(replica_id, ready=is_ready, message=None if is_ready else "HTTP 503")
        await scene.observe()
    first, again = [event for event in await scene.events() if event.type == "ReplicaBecameReady"]
    assert first.cause.causation_id is not None
    assert again.cause.causation_id is None
    assert TRACE.split("-")[1] not in (again.cause.traceparent or "")


async def test_a_replica_comes_of_what_asked_for_it_and_not_of_what_was_said_since(scene: Scene) -> None:
    asked = await newest(scene, "SpecApplied")
    await scene.tell(
        RolloutProgressed(
            spec_id="s",
            run_id=RUN,
            phase=RolloutPhase.WAITING_FOR_READY,
            replicas=1,
            ready_replicas=0,
            leaving_replicas=0,
        )
    )
    await scene.tell(EndpointsWithdrawn(replica_ids=("r-gone",), reason=WithdrawReason.IDLE))
    assert await scene.observe() == ["ReplicaStarted"]
    assert (await newest(scene, "ReplicaStarted")).cause.causation_id == asked.event_id


async def test_a_replica_of_an_earlier_spec_does_not_come_of_the_newest_one(scene: Scene) -> None:
    await scene.tell(SpecRegistered(spec_id="t", run_id=RUN, spec=SPEC), because="another request")
    assert await scene.observe() == ["ReplicaStarted"]
    assert (await newest(scene, "ReplicaStarted")).cause.causation_id is None


async def test_a_crash_does_not_come_of_what_asked_for_another_replica(scene: Scene) -> None:
    (crashing,) = await scene.replica_ids()
    scene.cluster.start(crashing)
    await scene.observe()
    scene.cluster.exit(crashing, status=1)
    await scene.apply(2)
    assert sorted(await scene.observe()) == ["ReplicaStarted", "ReplicaStopped"]
    assert (await newest(scene, "ReplicaStopped")).cause.causation_id is None


async def test_what_ends_with_a_deployment_goes_back_to_its_deletion(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    await scene.observe()
    last = await scene.log.last_sequence()
    await scene.tell(DeploymentDeleted(name="demo"), because="the deletion")
    await scene.apply(0, stopping=[replica_id])
    await scene.observe()
    scene.cluster.end(replica_id)
    await scene.observe()
    ending = await scene.events(after=last)
    assert [event.type for event in ending] == ["ReplicaBecameUnready", "ReplicaStopped"]
    assert {event.cause.correlation_id for event in ending} == {"the deletion"}
    assert {event.cause.causation_id for event in ending} == {None}
