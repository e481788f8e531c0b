"""Giving a pool whatever a durable has, at next to no cost while it has nothing.

The client's own fetch is not used here. A status that belongs to the fetch before makes it collect for its
whole time, so that a message waits although nothing else comes. Short fetches bound that, and cost an idle
process more than all its other work. Here each message is handled as it comes, and a request for many stays
open for two seconds.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from libs.common.bus.broker import inbox_prefix
from libs.common.bus.delivered import Delivered
from libs.common.bus.pool import Pool, acknowledge, tell_failure
from libs.common.bus.statuses import status_of
from libs.common.ids import new_id

T = TypeVar("T")

BATCH = 64
"""Messages that are asked for with one request."""
OPEN_S = 2.0
"""How long a request stays open. What is delivered to a process that stands still comes to no other one
before the durable's `ack_wait`: nothing is once its request has ended."""
LATE_S = 0.2
"""A request without an answer so long after its end is lost, such as with a broker that died."""


class Pull(Generic[T]):
    """Hands what `read` makes of every message of a durable to `pool`, which handles it and answers for it.

    key: those of one key are handled one at a time. service: in whose inbox the messages come. is_done: what
    there is nothing to do about any more is acknowledged at once and takes no place in the pool.
    """

    def __init__(
        self,
        broker: NatsBroker,
        pool: Pool[T],
        read: Callable[[Delivered], T],
        key: Callable[[T], str],
        *,
        stream: str,
        durable: str,
        service: str,
        is_done: Callable[[T], bool] = lambda _: False,
    ) -> None:
        self._broker = broker
        self._pool = pool
        self._read = read
        self._key = key
        self._is_done = is_done
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = f"{inbox_prefix(service)}.{new_id()}"
        self._number = 0
        """Of the newest request."""
        self._left = 0
        """Messages that it may still bring."""
        self._is_over = asyncio.Event()
        self._is_taking = False

    async def run(self) -> None:
        """Never returns. What comes after its end, until the connection's, the pool gives back."""
        client = await self._broker.connect()
        subscription = await client.subscribe(f"{self._inbox}.*", cb=self.on_message)
        while True:
            await self._ask(client)
            while not self._is_over.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(OPEN_S + LATE_S):
                        await self._is_over.wait()
                if not (self._is_taking or subscription.pending_msgs):
                    break

    async def on_message(self, message: Msg) -> None:
        """Waits while the pool has no room: nothing more is asked for meanwhile."""
        if status_of(message) is not None:
            if message.subject == self._reply:
                self._is_over.set()
            return
        self._is_taking = True
        try:
            await self._take(message)
        finally:
            self._is_taking = False
            self._left -= 1
            if self._left <= 0:
                self._is_over.set()

    @property
    def _reply(self) -> str:
        """Tells what is said of the newest request from what is said of an earlier one."""
        return f"{self._inbox}.{self._number}"

    async def _ask(self, client: Client) -> None:
        self._is_over.clear()
        self._number += 1
        self._left = BATCH
        request = json.dumps({"batch": BATCH, "expires": int(OPEN_S * 1e9)})
        # One that is away is asked again when the time is over.
        with suppress(NatsError):
            await client.publish(self._subject, request.encode(), self._reply)

    async def _take(self, message: Msg) -> None:
        delivered = Delivered.of(message)
        try:
            item = self._read(delivered)
        except Exception as error:  # noqa: BLE001 - whatever it is, the broker is told, and others go on
            await tell_failure(message, error, subject=delivered.subject, deliveries=delivered.deliveries)
            return
        if self._is_done(item):
            await acknowledge(message)
            return
        await self._pool.put(
            self._key(item),
            item,
            message,
            sequence=delivered.sequence,
            subject=delivered.subject,
            deliveries=delivered.deliveries,
        )
