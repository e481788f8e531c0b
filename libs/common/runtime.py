"""What every service process does besides its work: run its tasks, stop on a signal, say how it is."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import structlog

from libs.common.bus.heartbeat import HeartbeatPublisher, SetAside, Standing

logger = structlog.get_logger()

T = TypeVar("T")

MOST_UNREAD = 20
"""Of what is not understood, told with each heartbeat, which has to stay small."""

_YOUNG_INTERVAL_S = 0.2
_YOUNG_BEATS = 50
"""A process beats quickly in its first seconds, so that a platform is seen to be ready when it is."""


@dataclass(slots=True)
class Progress:
    """What a service reports with each heartbeat."""

    applied_sequence: int = 0
    """The last event it has taken in."""
    is_ready: bool = False
    """Whether it does its work."""
    problem: str = ""
    """Why it does not, in one sentence for an operator; empty while it does."""
    stuck: str = ""
    """Why it hears nothing of the log, though it may once have; it is not ready meanwhile."""
    held_by: str = ""
    """What keeps it from deciding anything, whatever else it can do, such as `importing 3 of 10`; it is not
    ready meanwhile."""
    standing: Standing | None = None
    """Of a service of which one copy leads; None where every copy does the same."""
    set_aside: dict[str, SetAside] = field(default_factory=dict)
    """What could not be handled and is tried again later, by its id, while all else goes on."""
    detail: dict[str, Any] = field(default_factory=dict)
    """Service-specific facts for `/v1/health`, such as the router's last Envoy acknowledgement."""
    unread: list[str] = field(default_factory=list)
    """What of the log it does not understand, in a sentence each: notices for an operator."""
    has_news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the next heartbeat should not wait for its time."""

    def applied(self, sequence: int) -> None:
        self.applied_sequence = max(self.applied_sequence, sequence)

    def cannot_follow(self, reason: str) -> None:
        """reason: empty when it follows the log again."""
        self.stuck = reason

    def cannot_read(self, what: str) -> None:
        if len(self.unread) < MOST_UNREAD:
            self.unread.append(what)

    def shown_detail(self) -> dict[str, Any]:
        """`detail`, and among its notices what is not understood."""
        if not self.unread:
            return self.detail
        return {**self.detail, "notices": [*self.detail.get("notices", ()), *self.unread]}

    def lead(self, is_leading: bool) -> None:
        """Whether this copy of the service leads."""
        self.standing = Standing.LEADING if is_leading else Standing.WARM
        self.has_news.set()

    def hold(self, by: object | None) -> None:
        """by: what it waits for, shown as text; None lets it go on."""
        self.held_by = "" if by is None else str(by)


def as_it_is(adapter: T) -> T:
    """The default of an app's hooks: another composition may stand between a service and its adapters."""
    return adapter


async def run_until_stopped(
    tasks: Callable[[], list[Coroutine[Any, Any, None]]],
    *,
    heartbeat: HeartbeatPublisher,
    progress: Progress,
) -> None:
    """Run the tasks and the heartbeat until SIGTERM or SIGINT.

    A task that fails ends the process with its error: the supervisor starts it again, from the log.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def publish(*, is_last: bool = False) -> None:
        await heartbeat.publish(
            applied_sequence=progress.applied_sequence,
            is_ready=progress.is_ready and not progress.held_by and not progress.stuck,
            detail=progress.shown_detail(),
            problem=progress.held_by or progress.stuck or progress.problem,
            standing=progress.standing or "",
            set_aside=progress.set_aside.values(),
            is_last=is_last,
        )

    async def beat() -> None:
        for beats in count():
            await publish()
            is_young = beats < _YOUNG_BEATS
            pause_s = min(_YOUNG_INTERVAL_S, heartbeat.interval_s) if is_young else heartbeat.interval_s
            with suppress(TimeoutError):
                await asyncio.wait_for(progress.has_news.wait(), pause_s)
            progress.has_news.clear()

    async def wait_for_stop(group: list[asyncio.Task[None]]) -> None:
        await stop.wait()
        for task in group:
            task.cancel()

    running = [asyncio.ensure_future(coroutine) for coroutine in [*tasks(), beat()]]
    watcher = asyncio.ensure_future(wait_for_stop(running))
    try:
        await asyncio.gather(*running)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        await publish(is_last=True)
    finally:
        watcher.cancel()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        logger.info("stopped")
