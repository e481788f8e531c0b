"""Edge of the reconciler: an event of a deployment wakes it. No rules live here."""

from faststream.nats import NatsBroker, NatsMessage

from libs.common.bus import subjects
from libs.common.bus.consume import work_subscriber
from libs.common.errors import Permanent
from libs.common.events.envelope import parse_subject
from libs.common.runtime import Progress
from services.reconciler.converge import Reconciler, Wake


def subscribe(broker: NatsBroker, reconciler: Reconciler, progress: Progress, *, service: str) -> None:
    """Wake `reconciler` for every event that the durable delivers."""

    @work_subscriber(
        broker,
        "events.>",
        stream=subjects.EVENTS_STREAM,
        durable=subjects.RECONCILER_DURABLE,
        service=service,
    )
    async def on_change(_: bytes, message: NatsMessage) -> None:
        wake = read_wake(message)
        await reconciler.on_event(wake)
        progress.applied(wake.sequence)


def read_wake(message: NatsMessage) -> Wake:
    """From the headers alone: what happened is read from the log. Raises Permanent for no event."""
    try:
        aggregate, _ = parse_subject(message.raw_message.subject)
        return Wake(
            deployment_id=aggregate.id,
            sequence=message.raw_message.metadata.sequence.stream,
            event_id=message.headers["ce-id"],
            correlation_id=message.headers["ce-correlationid"],
            traceparent=message.headers.get("traceparent"),
        )
    except (KeyError, ValueError) as error:
        raise Permanent(f"not an event: {message.raw_message.subject}") from error
