"""The reconciler as a process, on a real broker and real replica processes; the services around it played."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.bus.heartbeat import Heartbeat
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.events.rollout import RolloutPhase, SpecFailedReason
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.spec.model import Resources, Spec
from tests.support.nats_server import NatsEndpoint
from tests.support.play import Play
from tests.support.polling import PATIENCE_S, eventually
from tests.support.service_process import ServiceProcess

SLEEPER = ("sh", "-c", "while :; do sleep 1; done")


def spec(image: str = "a", replicas: int = 2, *, command: tuple[str, ...] | None = SLEEPER) -> Spec:
    resources = Resources(machine_type="C4", ports=(8000,), replicas=replicas)
    return Spec(name="demo", image=image, command=command, resources=resources)


@pytest.fixture
async def play(
    tmp_path: Path, jetstream_log: JetStreamLog, reconciler: ServiceProcess
) -> AsyncIterator[Play]:
    reconciler.start()
    cluster = LocalCluster(tmp_path / "replicas", grace_seconds=2)
    yield Play(jetstream_log, cluster, new_id())
    if reconciler.is_running:
        assert reconciler.end(signal.SIGTERM) == 0
    await cluster.shutdown(grace_seconds=0)


async def test_a_deployment_comes_changes_scales_and_goes(play: Play) -> None:
    first = await play.register(spec("a"))
    await play.settles(first, RolloutPhase.COMPLETE)
    old = await play.pids()

    second = await play.register(spec("b"))
    await play.settles(second, RolloutPhase.COMPLETE)
    new = await play.pids()
    assert len(new) == 2
    assert not new & old

    third = await play.register(spec("b", 3))
    await play.settles(third, RolloutPhase.COMPLETE)
    assert new < await play.pids()

    fourth = await play.register(spec("b", 1))
    await play.settles(fourth, RolloutPhase.COMPLETE)
    assert await play.pids() < new

    await play.delete()

    async def is_removed() -> bool:
        view = await play.view()
        return view is not None and view.rollout.is_removed

    await play.until(is_removed)
    assert play.deployment_id not in await play.cluster.observe()

    events = await play.events()
    types = {event.event_id: event.type for event in events}
    causes = {types[e.cause.causation_id] for e in events if e.type == "SpecHealthy" and e.cause.causation_id}
    assert causes
    assert "RosterRecorded" not in causes, "a page says how things are, a change why"


async def test_a_spec_without_a_command_leaves_the_old_run_alone(play: Play) -> None:
    await play.settles(await play.register(spec("a", 1)), RolloutPhase.COMPLETE)
    before = await play.pids()
    failed = await play.register(spec("b", 1, command=None))

    async def has_failed() -> bool:
        view = await play.view()
        return view is not None and view.rollout.failed_spec_id == failed

    await play.until(has_failed)
    [failure] = [event.data for event in await play.events() if event.type == "SpecFailed"]
    assert failure["reason"] == SpecFailedReason.NO_COMMAND
    assert await play.pids() == before


async def test_a_killed_reconciler_goes_on_where_it_was(play: Play, reconciler: ServiceProcess) -> None:
    await play.settles(await play.register(spec("a")), RolloutPhase.COMPLETE)
    assert reconciler.end(signal.SIGKILL) == -signal.SIGKILL
    meanwhile = await play.register(spec("b"))
    reconciler.start()
    await play.settles(meanwhile, RolloutPhase.COMPLETE)
    assert len(await play.pids()) == 2


async def test_the_services_say_how_far_they_are(
    play: Play, log_client: Client, tmp_path: Path, nats_endpoint: NatsEndpoint
) -> None:
    autoscaler = ServiceProcess("autoscaler", tmp_path, nats_endpoint.url)
    autoscaler.start()
    beats: dict[str, Heartbeat] = {}

    async def on_beat(message) -> None:
        beat = Heartbeat.model_validate_json(message.data)
        beats[beat.service] = beat

    subscription = await log_client.subscribe(subjects.HEARTBEATS, cb=on_beat)
    try:
        await play.settles(await play.register(spec("a", 1)), RolloutPhase.COMPLETE)
        last = await play.log.last_sequence()
        await eventually(
            lambda: (
                {beat.service for beat in beats.values() if beat.is_ready and beat.applied_sequence >= last}
                == {"reconciler", "autoscaler"}
            ),
        )
    finally:
        await subscription.unsubscribe()
        assert autoscaler.end(signal.SIGTERM) == 0


async def test_it_stops_on_a_signal_and_leaves_the_replicas(play: Play, reconciler: ServiceProcess) -> None:
    await play.settles(await play.register(spec("a", 1)), RolloutPhase.COMPLETE)
    before = await play.pids()
    assert reconciler.end(signal.SIGTERM) == 0
    assert await asyncio.wait_for(play.pids(), PATIENCE_S) == before
