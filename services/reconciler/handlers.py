"""Edge of the reconciler: an event of a deployment wakes it. No rules live here."""

from faststream.nats import NatsBroker, NatsMessage

from libs.common.bus import subjects
from libs.common.bus.consume import work_subscriber
from libs.common.errors import LogImporting
from libs.common.log import wire
from libs.common.runtime import Progress
from services.reconciler.converge import Reconciler, Wake


def subscribe(broker: NatsBroker, reconciler: Reconciler, progress: Progress, *, service: str) -> None:
    """Wake `reconciler` for every event that its durable selects."""

    @work_subscriber(
        broker,
        "events.>",
        stream=subjects.EVENTS_STREAM,
        durable=subjects.RECONCILER_DURABLE,
        service=service,
    )
    async def on_change(body: bytes, message: NatsMessage) -> None:
        raw = message.raw_message
        stored = raw.metadata
        event = wire.to_recorded(
            stored.sequence.stream, stored.timestamp, raw.subject, raw.headers or {}, body
        )
        try:
            await reconciler.on_event(Wake.by(event))
        except LogImporting:
            # Not tried again event by event: when the import is whole, the resync looks at everything.
            return
        progress.applied(event.sequence)
