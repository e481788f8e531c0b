"""A log of which one deployment cannot be handled, for as long as a test wants."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from typing import Any

from libs.common.events.envelope import Cause, Draft, Recorded
from libs.common.log.port import Appended, CaughtUp, Guard, Heads, Loaded


class PoisonError(Exception):
    """What every look into a poisoned event gives, and every append about its deployment."""


class PoisonedEvent(Recorded):
    """An event that nobody can take in."""

    @property
    def fact(self) -> Any:
        raise PoisonError("no service can take this in")

    @fact.setter
    def fact(self, _: Any) -> None:
        return


class PoisonedLog:
    """Everything else is the log's own. poisoned: the ids of deployments whose events are poison now.

    refused: those about which nothing can be appended.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self.poisoned: set[str] = set()
        self.refused: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(
        self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause, guards: Sequence[Guard] = ()
    ) -> Appended:
        if any(draft.aggregate.id in self.refused for draft in drafts):
            raise PoisonError("nothing can be appended")
        return await self._log.append(drafts, heads=heads, cause=cause, guards=guards)

    async def load(self, *filters: str, until: int | None = None) -> Loaded:
        loaded = await self._log.load(*filters, until=until)
        return Loaded(tuple(self._given(event) for event in loaded.events))

    async def read(self, *filters: str, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        async for event in self._log.read(*filters, after=after, until=until):
            yield self._given(event)

    async def follow(self, *filters: str, after: int | None = None) -> AsyncIterator[Recorded | CaughtUp]:
        async for item in self._log.follow(*filters, after=after):
            yield item if isinstance(item, CaughtUp) else self._given(item)

    def _given(self, event: Recorded) -> Recorded:
        if event.aggregate.id not in self.poisoned:
            return event
        return PoisonedEvent(**{field.name: getattr(event, field.name) for field in fields(Recorded)})
