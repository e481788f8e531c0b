"""One ephemeral consumer: everything it delivers in order, or the news that it is lost."""

import asyncio
import json
from collections import deque
from datetime import datetime
from typing import Any, Self

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from libs.common.bus.broker_errors import BrokerError
from libs.common.clock import to_rfc3339
from libs.common.errors import LogUnavailable
from libs.common.log.jetstream.found import Delivery, from_consumer
from libs.common.log.jetstream.link import Link, status
from libs.common.log.jetstream.name_pool import ConsumerNames

HEARTBEAT_S = 2.0
"""How often the broker says that there is nothing new."""

SILENCE_S = 5.0
"""After this long without a word the consumer counts as lost."""

LOOK_AGAIN_S = 1.0

LEFT_BEHIND_S = 5.0
"""The broker forgets a consumer that nobody listens to after this long."""

MOST_AT_ONCE = 256

_NAME_TAKEN = frozenset({BrokerError.CONSUMER_NAME_IN_USE, BrokerError.CONSUMER_EXISTS})
"""A consumer of this name exists, with another configuration or another inbox."""


class ConsumerLost(Exception):
    """It has to be made again, from the last event that was taken from it."""


class Tail:
    """A push consumer without acknowledgements, paced by flow control: `async with` it, then `next`.

    after: None starts with the newest message of each subject; a sequence starts right behind it.
    since: where given, and `after` is not, it starts with the first message that was stored then or later.
    pending: how many messages were waiting when it was made.
    """

    def __init__(
        self,
        link: Link,
        stream: str,
        filters: tuple[str, ...],
        *,
        after: int | None,
        names: ConsumerNames,
        since: datetime | None = None,
    ) -> None:
        self._link = link
        self._stream = stream
        self._filters = filters
        self._after = after
        self._since = since
        self._names = names
        self._name = ""
        self._subscription: Subscription | None = None
        self._queue: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._delivered = 0
        self._heard_at = link.ticks()
        self._reconnects = link.reconnects
        self._handed_out = 0
        """Messages that `next` gave last, and that nobody has come back from."""
        self._behind = 0
        """Messages that were waiting behind the last one of those."""
        self.pending = 0

    async def __aenter__(self) -> Self:
        """Raises ConsumerLost when it cannot be made now."""
        inbox = self._link.client.new_inbox()
        try:
            # No limits of the client's: flow control keeps what is under way small.
            self._subscription = await self._link.client.subscribe(
                inbox, cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
            )
        except NatsError as error:
            raise LogUnavailable(f"cannot subscribe to a consumer's messages: {error!r}") from error
        try:
            self.pending = self._behind = await self._create(inbox)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    @property
    def waiting(self) -> int:
        """How many messages are not taken in yet: those that `next` gave last count until it is called again.
        May be asked in any thread."""
        queued = [message for message in list(self._queue) if status(message) is None]
        behind = from_consumer(queued[-1]).pending if queued else self._behind
        return self._handed_out + len(queued) + behind

    async def next(self) -> list[Delivery]:
        """At least one message, in order; waits for it. Raises ConsumerLost."""
        self._handed_out = 0
        deliveries = await self._next()
        self._handed_out, self._behind = len(deliveries), deliveries[-1].pending
        return deliveries

    async def _next(self) -> list[Delivery]:
        # Replay never waits by itself, and others want to run too.
        await asyncio.sleep(0)
        deliveries: list[Delivery] = []
        while True:
            while self._queue and len(deliveries) < MOST_AT_ONCE:
                message = self._queue[0]
                if status(message) is not None:
                    if deliveries:
                        # Flow is answered only when what came before it has been taken in.
                        return deliveries
                    await self._control(self._queue.popleft())
                    continue
                self._queue.popleft()
                delivery = from_consumer(message)
                if delivery.number != self._delivered + 1:
                    raise ConsumerLost(f"delivery {delivery.number} came after {self._delivered}")
                self._delivered = delivery.number
                deliveries.append(delivery)
            if deliveries:
                return deliveries
            await self._wait()

    async def _wait(self) -> None:
        self._news.clear()
        timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()
        if self._queue:
            return
        if self._link.reconnects != self._reconnects:
            raise ConsumerLost("the connection was lost and is back")
        if self._link.ticks() - self._heard_at > SILENCE_S:
            raise ConsumerLost(f"not a word for {SILENCE_S} s")

    async def _control(self, message: Msg) -> None:
        headers = message.headers or {}
        if status(message) != "100":
            raise ConsumerLost(f"the broker ended it with status {status(message)}")
        stalled = headers.get("Nats-Consumer-Stalled")
        if message.reply or stalled:
            await self._link.publish(message.reply or str(stalled), b"")
        last = headers.get("Nats-Last-Consumer")
        if last is not None and int(last) != self._delivered:
            raise ConsumerLost(f"{last} messages were delivered, {self._delivered} came")

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = self._link.ticks()
        self._queue.append(message)
        self._news.set()

    async def _create(self, inbox: str) -> int:
        """By the first name that is free. What has ended keeps its name for `LEFT_BEHIND_S`."""
        for name in self._names.candidates():
            self._name = name
            self._names.take(name)
            pending = await self._create_named(name, inbox)
            if pending is not None:
                return pending
            self._names.release(name)
        raise ConsumerLost("all consumers that this service may have are in use")

    async def _create_named(self, name: str, inbox: str) -> int | None:
        """None when there is one of this name already."""
        config: dict[str, Any] = {
            "name": name,
            "deliver_subject": inbox,
            "deliver_policy": "last_per_subject",
            "filter_subjects": list(self._filters),
            "ack_policy": "none",
            "max_deliver": 1,
            "flow_control": True,
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
            "inactive_threshold": int(LEFT_BEHIND_S * 1e9),
            "mem_storage": True,
            "num_replicas": 1,
        }
        if self._after is not None:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": self._after + 1}
        elif self._since is not None:
            config |= {"deliver_policy": "by_start_time", "opt_start_time": to_rfc3339(self._since)}
        request = json.dumps({"stream_name": self._stream, "config": config, "action": "create"}).encode()
        subject = f"$JS.API.CONSUMER.CREATE.{self._stream}.{name}"
        message = await self._link.request(subject, request, timeout_s=5)
        if message is None or status(message) is not None:
            raise ConsumerLost("no answer to its creation; a denied permission looks the same")
        answer = json.loads(message.data)
        if answer.get("error", {}).get("err_code") in _NAME_TAKEN:
            return None
        if "error" in answer:
            raise ConsumerLost(f"its creation was refused: {answer['error'].get('description')}")
        return int(answer["num_pending"])

    async def _leave(self) -> None:
        self._names.release(self._name)
        subscription, self._subscription = self._subscription, None
        if subscription is None or self._link.client.is_closed or self._link.client.is_draining:
            return
        await subscription.unsubscribe()
