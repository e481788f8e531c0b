"""Work consumers: a durable that provisioning made wakes an idempotent handler.

The stream and the durable exist already. Nothing is declared here, because a declaration would overwrite the
stream's settings with FastStream's defaults.

Every subscriber is declared with `no_reply`. Without it FastStream publishes what a handler returns to the
subject that the header `reply_to` of the message names, so that whoever may send us a message decides what
we publish: an empty event, for one, which the log would store as ours.
"""

from collections.abc import Callable
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.subscriber.usecases import CoreSubscriber, PullStreamSubscriber

from libs.common.bus.broker import inbox_prefix
from libs.common.bus.delivered import Delivered

FETCH_TIMEOUT_S = 2.0
"""How long one fetch waits for its first message. A fetch that a dying broker swallowed is noticed only
when this has passed, so it bounds how long work stands still after the broker is back."""


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

    # Not `def`: FastStream runs a plain function in a thread, for every message.
    async def decode(message: NatsMessage) -> Any:
        return read(Delivered.of(message.raw_message))

    return broker.subscriber(
        subject,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=1, timeout=FETCH_TIMEOUT_S),
        ack_policy=AckPolicy.NACK_ON_ERROR,
        inbox_prefix=f"{inbox_prefix(service)}.".encode(),
        no_reply=True,
        decoder=decode,
        title=title,
        description=description,
    )


def signal_subscriber(broker: NatsBroker, subject: str, read: Callable[[str, bytes], Any]) -> CoreSubscriber:
    """Decorates a handler of what `read` makes of a signal's subject and body; what that raises for is
    dropped with a warning.

    A handler that asks FastStream for the message, too, costs a turn of a thread for each.
    """

    async def decode(message: NatsMessage) -> Any:
        return read(message.raw_message.subject, message.raw_message.data)

    return broker.subscriber(subject, no_reply=True, decoder=decode, include_in_schema=False)
