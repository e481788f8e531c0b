"""Many messages at once, but of one key one at a time, so that a slow one delays its own key and nobody else.

A message is a reason to look, and whoever looks sees everything. So of those that wait for one key only the
first and the newest are kept: the first says why, the newest up to where; what comes between is done with
them. A key therefore holds at most three messages of the broker, however much happens to it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import structlog
from nats.errors import Error as NatsError

from libs.common.bus.outcome import answer_to

logger = structlog.get_logger()

T = TypeVar("T")

SIZE = 16
"""Keys that are handled at once."""
MOST_KEYS = 250
"""Keys that wait; with three messages each that is below any durable's `max_ack_pending`."""
SAID_EVERY_S = 3.0
"""How often the broker hears that a message is still held; well below the durable's `ack_wait`."""
FINISH_S = 5.0
"""What runs at the end may take so long; what waits is given back at once."""

CLOSED_S = 1.0
"""What still comes at the end is given back for so long, until nobody here asks for more."""


class Message(Protocol):
    """What the broker is told of a message; nats-py's `Msg` is one."""

    async def ack(self) -> None: ...

    async def nak(self, delay: int | float | None = None) -> None: ...

    async def term(self) -> None: ...

    async def in_progress(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    sequence: int
    item: T
    message: Message
    subject: str
    deliveries: int


class Pool(Generic[T]):
    """handle: does the work; what it raises decides what the broker is told, as in `outcome`."""

    def __init__(
        self,
        handle: Callable[[T], Awaitable[None]],
        *,
        size: int = SIZE,
        most_keys: int = MOST_KEYS,
        said_every_s: float = SAID_EVERY_S,
    ) -> None:
        self._handle = handle
        self._size = size
        self._most_keys = most_keys
        self._said_every_s = said_every_s
        self._waiting: dict[str, list[_Entry[T]]] = {}
        self._ready: deque[str] = deque()
        """Keys that wait and do not run, who waits longest first."""
        self._running: dict[str, _Entry[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Condition()
        self._is_open = True

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Works for as long as the block runs."""
        saying = asyncio.ensure_future(self._say_in_progress())
        try:
            yield self
        finally:
            self._is_open = False
            left = [entry for line in self._waiting.values() for entry in line]
            self._waiting.clear()
            self._ready.clear()
            async with self._moved:
                self._moved.notify_all()
            for entry in left:
                await _tell(entry.message.nak())
            if self._tasks:
                _, unfinished = await asyncio.wait(self._tasks, timeout=FINISH_S)
                for task in unfinished:
                    task.cancel()
                await asyncio.gather(*unfinished, return_exceptions=True)
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def put(
        self, key: str, item: T, message: Message, *, sequence: int, subject: str, deliveries: int
    ) -> None:
        """Take it over. Waits while too many other keys are waiting.

        sequence: its place among the messages of its key, which may come in another order.
        """
        entry = _Entry(sequence, item, message, subject, deliveries)
        async with self._moved:
            await self._moved.wait_for(
                lambda: key in self._waiting or len(self._waiting) < self._most_keys or not self._is_open
            )
        if not self._is_open:
            await _tell(message.nak(delay=CLOSED_S))
            return
        line = self._waiting.setdefault(key, [])
        if not line and key not in self._running:
            self._ready.append(key)
        line.append(entry)
        line.sort(key=lambda each: each.sequence)
        passed_over = line.pop(1) if len(line) > 2 else None
        self._begin()
        if passed_over is not None:
            await _tell(passed_over.message.ack())

    def _begin(self) -> None:
        while self._ready and len(self._running) < self._size:
            key = self._ready.popleft()
            line = self._waiting[key]
            entry = line.pop(0)
            if not line:
                del self._waiting[key]
            self._running[key] = entry
            task = asyncio.ensure_future(self._work(key, entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, key: str, entry: _Entry[T]) -> None:
        try:
            try:
                await self._handle(entry.item)
            except Exception as error:  # noqa: BLE001 - whatever it is, the broker is told, and others go on
                await tell_failure(entry.message, error, subject=entry.subject, deliveries=entry.deliveries)
            else:
                await _tell(entry.message.ack())
        finally:
            del self._running[key]
            if key in self._waiting:
                self._ready.append(key)
            self._begin()
            async with self._moved:
                self._moved.notify_all()

    async def _say_in_progress(self) -> None:
        while True:
            await asyncio.sleep(self._said_every_s)
            waiting = [entry for line in self._waiting.values() for entry in line]
            for entry in (*self._running.values(), *waiting):
                await _tell(entry.message.in_progress())


async def tell_failure(message: Message, error: Exception, *, subject: str, deliveries: int) -> None:
    """Give it back for another try, or park it, as `outcome` says."""
    answer = answer_to(error, subject=subject, deliveries=deliveries)
    await _tell(message.term() if answer.delay_s is None else message.nak(delay=answer.delay_s))


async def acknowledge(message: Message) -> None:
    """A message that nothing is left to do about."""
    await _tell(message.ack())


async def _tell(telling: Awaitable[None]) -> None:
    """A broker that is away hears it never; it delivers the message again."""
    try:
        await telling
    except NatsError as error:
        logger.debug("the broker could not be told about a message", error=str(error))
