"""Work consumers: a durable that provisioning made wakes an idempotent handler.

Every subscriber is declared with `no_reply`. Without it FastStream publishes what a handler returns to the
subject that the header `reply_to` of the message names, so that whoever may send us a message decides what
we publish: an empty event, for one, which the log would store as ours.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub

from libs.common.bus.broker import inbox_prefix
from libs.common.bus.pool import Pool

FETCH_TIMEOUT_S = 1.0
"""How long one fetch waits for its first message. A fetch that a dying broker swallowed is noticed only
when this has passed, so it bounds how long work stands still after the broker is back."""

BATCH = 64
"""Messages that are fetched for a pool with one request."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A stored message. sequence, time: its place in its stream, and since when it has it."""

    sequence: int
    time: datetime
    subject: str
    headers: Mapping[str, str]
    body: bytes


def pooled_subscriber(
    broker: NatsBroker,
    subject: str,
    pool: Pool[Delivered],
    key: Callable[[str], str],
    *,
    stream: str,
    durable: str,
    service: str,
) -> None:
    """Hand every message over to `pool`, which handles it and answers for it.

    key: of a message's subject; those of one key are handled one at a time.
    """

    @broker.subscriber(
        subject,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=BATCH, timeout=FETCH_TIMEOUT_S),
        ack_policy=AckPolicy.MANUAL,
        inbox_prefix=f"{inbox_prefix(service)}.".encode(),
        no_reply=True,
        decoder=_as_bytes,
    )
    async def on_message(message: NatsMessage) -> None:
        raw = message.raw_message
        stored = raw.metadata
        delivered = Delivered(
            stored.sequence.stream, stored.timestamp, raw.subject, raw.headers or {}, raw.data
        )
        await pool.put(
            key(raw.subject),
            delivered,
            raw,
            sequence=delivered.sequence,
            subject=raw.subject,
            deliveries=stored.num_delivered or 1,
        )


def work_subscriber(
    broker: NatsBroker, subject: str, *, stream: str, durable: str, service: str
) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Decorates a handler of raw messages: `async def on_…(body: bytes, message: NatsMessage) -> None`.

    It is called for one message at a time, in their order.

    The stream and the durable exist already: nothing is declared here, because a declaration would
    overwrite the stream's settings with FastStream's defaults. The handler acknowledges by returning;
    `Outcome`, on the broker, answers for its exceptions.
    """
    return broker.subscriber(
        subject,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=1, timeout=FETCH_TIMEOUT_S),
        ack_policy=AckPolicy.NACK_ON_ERROR,
        inbox_prefix=f"{inbox_prefix(service)}.".encode(),
        no_reply=True,
        decoder=_as_bytes,
    )


async def _as_bytes(message: Any) -> bytes:
    """No decoding here: a payload that cannot be read is the handler's to reject, with a reason."""
    return bytes(message.body)
