"""Work consumers: a durable that provisioning made wakes an idempotent handler ."""

from collections.abc import Awaitable, Callable
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub

from libs.common.bus.broker import inbox_prefix

FETCH_TIMEOUT_S = 1.0
"""How long one fetch waits for its first message. A fetch that a dying broker swallowed is noticed only
when this has passed, so it bounds how long work stands still after the broker is back."""

BATCH = 16
"""Messages handled at once; few, because what was fetched and not begun waits for `ack_wait` after a stop."""


def work_subscriber(
    broker: NatsBroker, subject: str, *, stream: str, durable: str, service: str, batch: int = BATCH
) -> Callable[[Callable[..., Awaitable[None]]], Any]:
    """Decorates a handler of raw messages: `async def on_…(body: bytes, message: NatsMessage) -> None`.

    The stream and the durable exist already: nothing is declared here, because a declaration would
    overwrite the stream's settings with FastStream's defaults. The handler acknowledges by returning;
    `Outcome`, on the broker, answers for its exceptions.
    batch: how many are handled at once; 1 keeps them in their order.
    """
    return broker.subscriber(
        subject,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=batch, timeout=FETCH_TIMEOUT_S),
        ack_policy=AckPolicy.NACK_ON_ERROR,
        inbox_prefix=f"{inbox_prefix(service)}.".encode(),
        decoder=_as_bytes,
    )


async def _as_bytes(message: Any) -> bytes:
    """No decoding here: a payload that cannot be read is the handler's to reject, with a reason."""
    return bytes(message.body)
