"""Edge of the reconciler: an event of a deployment wakes it. No rules live here."""

from collections.abc import Callable

from faststream.nats import NatsBroker

from libs.common.bus import subjects
from libs.common.bus.pool import Pool
from libs.common.bus.pull import Pull
from libs.common.errors import LogImporting
from libs.common.events.envelope import Recorded
from libs.common.events.replica import RosterRecorded
from libs.common.log import wire
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from services.reconciler.converge import Reconciler, Trigger


def make_pool(reconciler: Reconciler, progress: Progress, aside: Aside) -> Pool[Recorded]:
    """Gives `reconciler` a trigger for every event, several deployments at once.

    A deployment that fails is set aside and the resync tries it again, so that its message is done: a
    redelivery would end after so many times, and the trouble may last longer.
    """

    async def on_change(event: Recorded) -> None:
        if event.type == RosterRecorded.event_type():
            # A page of the roster comes with the facts of its changes, and these are what causes anything.
            progress.applied(event.sequence)
            return
        try:
            await handle(reconciler, aside, Trigger.by(event))
        except LogImporting:
            # Not tried again event by event: when the import is whole, the resync compares everything.
            return
        progress.applied(event.sequence)

    return Pool(on_change)


def make_pull(
    broker: NatsBroker,
    pool: Pool[Recorded],
    *,
    service: str,
    is_done: Callable[[Recorded], bool] = lambda _: False,
) -> Pull[Recorded]:
    """Everything that the durable selects, to the pool; but for what is done, which costs no pass.

    Where a log was restored or imported, or its durable was lost, that is every event that there ever was.
    """
    return Pull(
        broker,
        pool,
        lambda it: wire.to_recorded(it.sequence, it.time, it.subject, it.headers, it.body),
        lambda event: event.aggregate.id,
        stream=subjects.EVENTS_STREAM,
        durable=subjects.RECONCILER_DURABLE,
        service=service,
        is_done=is_done,
    )


async def handle(reconciler: Reconciler, aside: Aside, trigger: Trigger) -> None:
    """Raises only what no single deployment causes; the message is delivered again then."""
    with aside.attempt(trigger.deployment_id):
        await reconciler.on_event(trigger)
