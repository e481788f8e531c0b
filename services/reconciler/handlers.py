"""Edge of the reconciler: an event of a deployment wakes it. No rules live here."""

from faststream.nats import NatsBroker, NatsMessage

from libs.common.bus import subjects
from libs.common.bus.consume import work_subscriber
from libs.common.errors import LogImporting
from libs.common.log import wire
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from services.reconciler.converge import Reconciler, Trigger


def subscribe(
    broker: NatsBroker, reconciler: Reconciler, progress: Progress, aside: Aside, *, service: str
) -> None:
    """Give `reconciler` a trigger for every event that its durable selects.

    A deployment that fails is set aside and the resync tries it again, so that the message is done: a
    redelivery would end after so many times, and the trouble may last longer.
    """

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
        if event.page is not None:
            # A page of the roster comes with the facts of its changes, and these are what causes anything.
            progress.applied(event.sequence)
            return
        try:
            await handle(reconciler, aside, Trigger.by(event))
        except LogImporting:
            # Not tried again event by event: when the import is whole, the resync looks at everything.
            return
        progress.applied(event.sequence)


async def handle(reconciler: Reconciler, aside: Aside, trigger: Trigger) -> None:
    """Raises only what no single deployment causes; the message is delivered again then."""
    with aside.attempt(trigger.deployment_id):
        await reconciler.on_event(trigger)
