"""Edge of the broker: commands of other systems in, events and an answer out; heartbeats in."""

from collections.abc import Mapping

from faststream.exceptions import RejectMessage
from faststream.nats import NatsBroker, NatsMessage

from libs.common import telemetry
from libs.common.bus import subjects
from libs.common.bus.consume import work_subscriber
from libs.common.bus.heartbeat import Heartbeat
from libs.common.bus.in_progress import in_progress
from libs.common.bus.publish import publish_stored
from libs.common.clock import Clock
from services.api.commands.outcomes import State
from services.api.edge.command_handler import CommandHandler, Delivery, Publish
from services.api.health.platform import Heartbeats


def subscribe(
    broker: NatsBroker, handler: CommandHandler, heartbeats: Heartbeats, *, clock: Clock, service: str
) -> None:
    """Every subscription of the api; `broker.start()` begins them."""

    @work_subscriber(
        broker,
        "commands.>",
        stream=subjects.COMMANDS_STREAM,
        durable=subjects.COMMANDS_DURABLE,
        service=service,
    )
    async def on_command(body: bytes, message: NatsMessage) -> None:
        """One at a time: the durable gives out no second one before this one is acknowledged."""
        raw = message.raw_message
        headers = {name.lower(): value for name, value in (raw.headers or {}).items()}
        metadata = raw.metadata
        delivery = Delivery(metadata.sequence.stream, metadata.num_delivered or 1, metadata.timestamp)
        # commands.<project_id>.deployment.submit, or .delete
        _, project_id, _, verb = raw.subject.split(".")
        with telemetry.span(f"process commands.*.deployment.{verb}", headers.get("traceparent")):
            async with in_progress(raw):
                state = await handler.on_command(project_id, verb, headers, body, delivery)
        if state is State.FAILED:
            # It is answered and remembered; this parks it, too, so that it can be looked at.
            raise RejectMessage

    @broker.subscriber(subjects.HEARTBEATS, no_reply=True)
    async def on_heartbeat(beat: Heartbeat) -> None:
        heartbeats.take(beat, clock())


def make_publish(broker: NatsBroker) -> Publish:
    """Answers go to the stream that commands come from."""

    async def publish(subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        await publish_stored(broker, subject, body, headers, stream=subjects.COMMANDS_STREAM)

    return publish
