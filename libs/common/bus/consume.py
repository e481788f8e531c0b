"""Work consumers: a durable that provisioning made wakes an idempotent handler.

The stream and the durable exist already. Nothing is declared here, because a declaration would overwrite the
stream's settings with FastStream's defaults.

Every subscriber is declared with `no_reply`. Without it FastStream publishes what a handler returns to the
subject that the header `reply_to` of the message names, so that whoever may send us a message decides what
we publish: an empty event, for one, which the log would store as ours.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.subscriber.usecases import CoreSubscriber, PullStreamSubscriber

from libs.common.bus.broker import inbox_prefix
from libs.common.bus.pool import Message, Pool, acknowledge

T = TypeVar("T")

FETCH_TIMEOUT_S = 1.0
"""How long one fetch waits for its first message. A fetch that a dying broker swallowed is noticed only
when this has passed, so it bounds how long work stands still after the broker is back."""

BATCH = 64
"""Messages that are fetched for a pool with one request."""
POOLED_FETCH_TIMEOUT_S = 0.3
"""The same for a pool. Asked for many, nats-py may wait for the others while it has one: when the answer to
an earlier fetch, that it found nothing, comes late, a message is held back until the fetch ends. To ask for
one at a time has no such wait, but each takes a turn of a loop that is busy with the work: under load they
pile up. Each fetch in a second costs an idle process 0.13 % of a core."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A stored message, as it was delivered."""

    sequence: int
    """Its place in its stream."""
    time: datetime
    """When it was stored there."""
    subject: str
    headers: Mapping[str, str]
    body: bytes
    deliveries: int = 1
    """How often it was delivered, this time included."""


def pooled_subscriber(
    broker: NatsBroker,
    subject: str,
    pool: Pool[T],
    read: Callable[[Delivered], T],
    key: Callable[[T], str],
    *,
    stream: str,
    durable: str,
    service: str,
    is_done: Callable[[T], bool] = lambda _: False,
) -> None:
    """Hand what `read` makes of every message over to `pool`, which handles it and answers for it.

    key: those of one key are handled one at a time. is_done: what there is nothing to do about any more is
    acknowledged at once and takes no place in the pool.
    """

    # With the message, so that the handler need not ask for it: FastStream fills in each argument that a
    # handler asks for in a thread, which takes longer than all the rest.
    async def decode(message: NatsMessage) -> tuple[T, Delivered, Message]:
        delivered = _delivered(message)
        return read(delivered), delivered, message.raw_message

    @broker.subscriber(
        subject,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=BATCH, timeout=POOLED_FETCH_TIMEOUT_S),
        ack_policy=AckPolicy.MANUAL,
        inbox_prefix=f"{inbox_prefix(service)}.".encode(),
        no_reply=True,
        decoder=decode,
        include_in_schema=False,
    )
    async def on_message(taken: Any) -> None:
        item, delivered, message = taken
        if is_done(item):
            await acknowledge(message)
            return
        await pool.put(
            key(item),
            item,
            message,
            sequence=delivered.sequence,
            subject=delivered.subject,
            deliveries=delivered.deliveries,
        )


def work_subscriber(
    broker: NatsBroker,
    subject: str,
    read: Callable[[Delivered], Any],
    *,
    stream: str,
    durable: str,
    service: str,
    title: str,
    description: str,
) -> PullStreamSubscriber:
    """Decorates handlers of what `read` makes of a message: `async def on_…(command: InstanceOf[Command])`.

    Handlers are called for one message at a time, in their order; with several of them each message goes to
    the first one whose `filter` takes it. A handler acknowledges by returning; `Outcome`, on the broker,
    answers for its exceptions, and for those of `read`.

    title, description: for the AsyncAPI document.
    """
    return broker.subscriber(
        subject,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=1, timeout=FETCH_TIMEOUT_S),
        ack_policy=AckPolicy.NACK_ON_ERROR,
        inbox_prefix=f"{inbox_prefix(service)}.".encode(),
        no_reply=True,
        decoder=_decoder(read),
        title=title,
        description=description,
    )


def signal_subscriber(broker: NatsBroker, subject: str) -> CoreSubscriber:
    """Decorates a handler of a model that is sent as JSON; what cannot be read is dropped with a warning."""
    return broker.subscriber(subject, no_reply=True, include_in_schema=False)


def _decoder(read: Callable[[Delivered], T]) -> Callable[[NatsMessage], Awaitable[T]]:
    # Not `def`: FastStream runs a plain function in a thread, for every message.
    async def decode(message: NatsMessage) -> T:
        return read(_delivered(message))

    return decode


def _delivered(message: NatsMessage) -> Delivered:
    raw = message.raw_message
    stored = raw.metadata
    return Delivered(
        stored.sequence.stream,
        stored.timestamp,
        raw.subject,
        raw.headers or {},
        raw.data,
        stored.num_delivered or 1,
    )
