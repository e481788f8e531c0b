"""What a service does not understand of the log: it goes on without it, and its heartbeat names it."""

import asyncio
from pathlib import Path

from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.bus.heartbeat import Heartbeat
from libs.common.events.envelope import Aggregate, append_subject
from libs.common.log.jetstream import JetStreamLog
from tests.support.autoscaler_process import Copy
from tests.support.deployments import Storyteller
from tests.support.nats_server import NatsEndpoint, provisioned
from tests.support.polling import PATIENCE_S


async def test_the_heartbeat_names_it(
    tmp_path: Path, nats_endpoint: NatsEndpoint, log_client: Client, jetstream_log: JetStreamLog
) -> None:
    await provisioned(log_client)
    (tmp_path / "run").mkdir()
    story = Storyteller(jetstream_log)
    await story.create()
    aggregate = Aggregate(story.project_id, "deployment", story.deployment_id)
    hiding = append_subject(aggregate.subject("SpecRegistered"))
    await log_client.request(hiding, b'{"secret": "s3cret"}', timeout=PATIENCE_S)
    sequence = await jetstream_log.last_sequence()

    heard = asyncio.get_running_loop().create_future()

    async def on_beat(message: object) -> None:
        beat = Heartbeat.model_validate_json(message.data)  # type: ignore[attr-defined]  # a message of NATS
        if beat.is_ready and not heard.done():
            heard.set_result(beat)

    await log_client.subscribe(subjects.heartbeat("autoscaler"), cb=on_beat)
    copy = Copy(tmp_path, nats_endpoint.url, "first", 1)
    copy.start()
    try:
        beat: Heartbeat = await asyncio.wait_for(heard, PATIENCE_S)
    finally:
        await asyncio.to_thread(copy.stop)
    (notice,) = beat.detail["notices"]
    about = f"event {sequence}, SpecRegistered of deployment {story.deployment_id}"
    assert notice == f"{about}, is not understood and changes nothing: its headers contradict its subject"
