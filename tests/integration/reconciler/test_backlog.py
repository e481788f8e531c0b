"""Every event that there ever was comes again, as after an import or where the durable was lost."""

import json
import signal
from pathlib import Path

from nats.aio.client import Client
from nats.js.api import ConsumerInfo

from libs.common.bus import subjects
from libs.common.bus.heartbeat import Heartbeat
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.events.rollout import RolloutPhase
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.spec.model import Resources, Spec
from tests.support.grown_home import tell
from tests.support.nats_server import provisioned
from tests.support.play import Play
from tests.support.polling import PATIENCE_S, eventually
from tests.support.service_process import ServiceProcess

GONE = 150
SLEEPER = ("sh", "-c", "while :; do sleep 1; done")


async def the_durable(client: Client) -> ConsumerInfo:
    return await client.jetstream().consumer_info(subjects.EVENTS_STREAM, subjects.RECONCILER_DURABLE)


async def comes(client: Client) -> int:
    """Events that come by the durable since it was made, or have come already."""
    durable = await the_durable(client)
    given = durable.delivered.consumer_seq if durable.delivered else 0
    return given + (durable.num_pending or 0)


async def test_what_is_gone_costs_no_read_of_the_log_and_what_lives_is_carried_out(
    log_client: Client, jetstream_log: JetStreamLog, reconciler: ServiceProcess, tmp_path: Path
) -> None:
    gone = {new_id(): f"gone-{number}" for number in range(GONE)}
    for begin in range(0, GONE, 50):
        await tell(jetstream_log, dict([*gone.items()][begin : begin + 50]), is_deleted=True)
    cluster = LocalCluster(tmp_path / "replicas", grace_seconds=2)
    play = Play(jetstream_log, cluster, new_id())
    await _ready(log_client, reconciler)
    await eventually(lambda: _is_nothing_waiting(log_client))

    read: list[str] = []

    async def on_read(message) -> None:
        read.extend(json.loads(message.data).get("multi_last", ()))

    subscription = await log_client.subscribe("$JS.API.DIRECT.GET.EVENTS", cb=on_read)
    try:
        await log_client.jetstream().delete_consumer(subjects.EVENTS_STREAM, subjects.RECONCILER_DURABLE)
        await provisioned(log_client)
        assert await comes(log_client) >= GONE
        spec = Spec(
            name="demo",
            image="a",
            command=SLEEPER,
            resources=Resources(machine_type="C4", ports=(8000,), replicas=1),
        )
        await play.settles(await play.register(spec), RolloutPhase.COMPLETE)
        await eventually(lambda: _is_nothing_waiting(log_client))
        asked = {one.split(".")[3] for one in read}
        assert play.deployment_id in asked
        assert not asked & gone.keys()
    finally:
        await subscription.unsubscribe()
        assert reconciler.end(signal.SIGTERM) == 0
        await cluster.shutdown(grace_seconds=0)


async def _ready(client: Client, service: ServiceProcess) -> None:
    """Started, and it has read what there is."""
    beats = await client.subscribe(subjects.HEARTBEATS)
    service.start()

    async def is_ready() -> bool:
        beat = await beats.next_msg(timeout=PATIENCE_S)
        return Heartbeat.model_validate_json(beat.data).is_ready

    await eventually(is_ready, every_s=0)
    await beats.unsubscribe()


async def _is_nothing_waiting(client: Client) -> bool:
    durable = await the_durable(client)
    return (durable.num_pending or 0) + (durable.num_ack_pending or 0) == 0
