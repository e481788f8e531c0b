"""Going on without what fails: one deployment that cannot be handled must not stop all others."""

import asyncio
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from libs.common.back_off import BackOff
from libs.common.bus.heartbeat import SetAside
from libs.common.clock import Clock, Ticks, monotonic, utc_now
from libs.common.errors import ClusterUnavailable, LogUnavailable, SpecstreamError
from libs.common.events.text import bounded

logger = structlog.get_logger()

PAUSES: Final = BackOff(0.5, 30.0)
"""Before what failed for one deployment is tried again."""

EVERYBODYS = (LogUnavailable, ClusterUnavailable)
"""Troubles that no single deployment causes: with them everything is held, nothing set aside."""


@dataclass(slots=True)
class Aside:
    """What one kind of work of a service could not handle, by deployment, and when each is tried again.

    work: that kind of work, in a word or two, such as `watch`. shown: the service's `Progress.set_aside`.
    Times to wait are taken by `ticks`; `clock` only says since when something is set aside.
    """

    work: str
    shown: MutableMapping[str, SetAside]
    clock: Clock = utc_now
    ticks: Ticks = monotonic
    _due_at: dict[str, float] = field(default_factory=dict)
    _is_earlier: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where something may be due before whoever waits for it expects it."""

    @contextmanager
    def attempt(self, subject: str) -> Iterator[None]:
        """Do the work for one deployment: what fails sets it aside, what succeeds ends that.

        Raises only what no single deployment causes: `EVERYBODYS`, and the end of the process.
        """
        try:
            yield
        except EVERYBODYS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self.failed(subject, error)
        else:
            self.succeeded(subject)

    def failed(self, subject: str, error: Exception) -> None:
        before = self.shown.get(self._key(subject))
        attempts = before.attempts + 1 if before else 1
        reason = bounded(f"{self.work}: {_in_words(error)}")
        since = before.since if before else self.clock()
        self.shown[self._key(subject)] = SetAside(
            subject=subject, reason=reason, since=since, attempts=attempts
        )
        self._due_at[subject] = self.ticks() + PAUSES.pause_s(attempts)
        self._is_earlier.set()
        if attempts == 1:
            # In full once; what follows is the same again. Without the values of variables, which may hold
            # what no log should.
            logger.error(
                "set aside",
                work=self.work,
                deployment_id=subject,
                error=reason,
                traceback="".join(traceback.format_exception(error)),
            )
        else:
            logger.warning(
                "still set aside", work=self.work, deployment_id=subject, attempts=attempts, error=reason
            )

    def succeeded(self, subject: str) -> None:
        if self._due_at.pop(subject, None) is not None:
            self.shown.pop(self._key(subject), None)
            logger.info("handled again", work=self.work, deployment_id=subject)

    def clear(self) -> None:
        """Nobody here does this work any more, such as when another copy leads: who does shows what fails."""
        for subject in self._due_at:
            self.shown.pop(self._key(subject), None)
        self._due_at.clear()

    def hurry(self, subject: str) -> None:
        """Something about it is new: try it again now, if it was set aside."""
        if subject in self._due_at:
            self._due_at[subject] = self.ticks()
            self._is_earlier.set()

    def is_resting(self, subject: str) -> bool:
        """Whether it failed, and it is not yet time to try it again."""
        due_at = self._due_at.get(subject)
        return due_at is not None and self.ticks() < due_at

    def due(self) -> list[str]:
        """What failed and is to be tried again now."""
        now = self.ticks()
        return [subject for subject, due_at in self._due_at.items() if due_at <= now]

    async def until_due(self) -> None:
        """Return when something is to be tried again: while nothing is set aside, that costs nothing."""
        while not self.due():
            self._is_earlier.clear()
            next_s = min(self._due_at.values()) - self.ticks() if self._due_at else None
            with suppress(TimeoutError):
                async with asyncio.timeout(next_s):
                    await self._is_earlier.wait()

    @property
    def subjects(self) -> frozenset[str]:
        """What failed and is not handled yet."""
        return frozenset(self._due_at)

    def __contains__(self, subject: str) -> bool:
        return subject in self._due_at

    def _key(self, subject: str) -> str:
        return f"{self.work} {subject}"


def _in_words(error: Exception) -> str:
    """The health check answers without a key. So an error whose text may repeat a payload gives its name
    alone; the service's own log has it whole."""
    name = type(error).__name__
    is_plain = isinstance(error, SpecstreamError | OSError) or type(error) in {ValueError, RuntimeError}
    return f"{name}: {error}" if is_plain else name
