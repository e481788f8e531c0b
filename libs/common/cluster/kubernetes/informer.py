"""What there is of one kind of object, kept up to date by one watch."""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog

from libs.common.back_off import BackOff
from libs.common.clock import Ticks
from libs.common.cluster.kubernetes.certainty import Certainty
from libs.common.cluster.kubernetes.client import Client, Silent
from libs.common.cluster.kubernetes.refusals import Forbidden, Gone, NotThere
from libs.common.errors import ClusterUnavailable, SpecstreamError

logger = structlog.get_logger()

BROKEN_FOR_S: Final = 15.0
"""A watch that could not be had for so long makes the cluster unavailable, whatever else is answered: what is
known may be old."""
_MOST_SILENCES: Final = 1
"""In a row, after which a list is believed. Whoever lets no word of a watch through may let lists through all
the same, and what is known from these alone is always old."""
_FIRST_ANSWER_S: Final = 10.0
_AGAIN: Final = BackOff(0.1, 2.0)
FORBIDDEN_FOR_S: Final = 30.0
"""Between two tries to watch what we can do without and may not read."""

JSON = Mapping[str, Any]


class Known(Protocol):
    """An object as far as we use it; equal to another where nothing of use differs."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Known)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """Which objects, and how they are read."""

    resource: str
    selector: str
    parse: Callable[[JSON], T]
    fields: str = ""
    """A field selector."""


class Informer(Generic[T]):
    """`run` keeps `items` as the server has them.

    What we have written ourselves is put in at once, by `put`: it is not to be missed by whoever looks right
    after. Resource versions tell which of two states is the newer one. What others know may be newer than
    what was listed here: `confirm` asks for that.

    on_change: hears of each object before and after; None where there was, or is, none. on_set_back: hears
    that the server's state is one from before, so that anything may be different. is_optional: that we can do
    without: where we have no right to it, nothing is known, and `refusal` says so.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind[T],
        *,
        ticks: Ticks,
        on_change: Callable[[T | None, T | None], None],
        on_set_back: Callable[[], None],
        is_optional: bool = False,
    ) -> None:
        self.items: dict[str, T] = {}
        self.refusal = ""
        self._is_optional = is_optional
        self._client = client
        self._kind = kind
        self._ticks = ticks
        self._on_change = on_change
        self._on_set_back = on_set_back
        self._seen = 0
        """The newest resource version up to which everything is known."""
        self._certainty = Certainty()
        self._is_known = asyncio.Event()
        self._has_answered = asyncio.Event()
        self._broken_since: float | None = None
        self._silences = 0
        """How many watches in a row have said nothing for too long."""
        self._trouble = ""

    async def run(self) -> None:
        """Never returns."""
        version: str | None = None
        failures = 0
        while True:
            try:
                if version is None:
                    version = await self._list()
                async for event in self._client.watch(
                    self._kind.resource,
                    self._kind.selector,
                    self._kind.fields,
                    version=version,
                    on_open=self._is_well,
                ):
                    failures = 0
                    self._take(event)
                    version = str(self._seen)
                failures = 0
                continue
            except Gone:
                logger.info("listing again what is too old to watch on", resource=self._kind.resource)
                version = None
            except SpecstreamError as error:
                self._is_broken(error)
                if isinstance(error, Silent):
                    version = None
                if self._is_optional and isinstance(error, Forbidden):
                    self._forget(str(error))
                    version = None
                    await asyncio.sleep(FORBIDDEN_FOR_S)
                    continue
                if failures:
                    # Its server was away, and may come back with a state from before, such as a backup's. A
                    # watch from a version that is still to come there is open, and says nothing.
                    version = None
            failures += 1
            await asyncio.sleep(_AGAIN.pause_s(failures))

    async def wait_until_known(self) -> None:
        """Raises ClusterUnavailable while what is known may be old, or nothing is known yet."""
        if not self._is_known.is_set():
            await self.wait_until_answered()
        self.check()

    async def wait_until_answered(self) -> None:
        """Until the server has said something, if only that we may not read this; not for ever."""
        if not self._has_answered.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_ANSWER_S):
                    await self._has_answered.wait()

    @property
    def is_current(self) -> bool:
        """Whether everything is known, as it is."""
        is_broken = self._broken_since is not None and self._ticks() - self._broken_since >= BROKEN_FOR_S
        return self._is_known.is_set() and not is_broken

    def check(self) -> None:
        """Raises ClusterUnavailable while what is known may be old, or nothing is known yet."""
        if not self._is_known.is_set():
            raise ClusterUnavailable(self._trouble or "the Kubernetes API server has not answered yet")
        if self._broken_since is not None and self._ticks() - self._broken_since >= BROKEN_FOR_S:
            raise ClusterUnavailable(self._trouble)

    def put(self, raw: JSON) -> None:
        """The answer to a write of ours, or what the server has told when it was asked for it."""
        self._learn(self._kind.parse(raw))

    def is_certain(self, name: str) -> bool:
        """Whether nobody can know anything newer about it, or that it is not there."""
        return self._certainty.of(name, is_there=name in self.items)

    async def confirm(self, name: str) -> None:
        """Ask the server for it where it is not certain. Raises ClusterUnavailable."""
        while not self.is_certain(name):
            held = self.items.get(name)
            try:
                raw = await self._client.get(self._kind.resource, name)
            except NotThere:
                if self.items.get(name) is not held:
                    continue  # a watch has told of it meanwhile, which may be old too
                if held is not None:
                    self._drop(name)
                self._certainty.learn_gone(name)
                return
            after = self._kind.parse(raw)
            if after.version > self._seen:
                self._certainty.is_behind(after.version)
            self._learn(after)

    def _learn(self, after: T) -> None:
        if after.version > self._seen:
            self._put(after)
        if after.name in self.items:
            self._certainty.learn(after.name)
        else:  # it has gone since, or is none of those that are watched any more
            self._certainty.learn_gone(after.name)

    async def _list(self) -> str:
        raw, version = await self._client.list(self._kind.resource, self._kind.selector, self._kind.fields)
        listed = {item.name: item for item in map(self._kind.parse, raw)}
        if is_set_back := self._is_set_back(listed, int(version)):
            logger.warning(
                "the Kubernetes API server's state is one from before", resource=self._kind.resource
            )
            self.items.clear()
        self._seen = int(version)
        for name in self.items.keys() - listed.keys():
            if self.items[name].version <= self._seen:
                self._drop(name)
        for item in listed.values():
            self._put(item)
        self._certainty.list(listed)
        if is_set_back:
            self._on_set_back()
        self._is_known.set()
        self._has_answered.set()
        return version

    def _is_set_back(self, listed: Mapping[str, T], version: int) -> bool:
        """Whether the server knows less than it did. A backup may have been given later versions than all
        before; then what is in it is still as it was."""
        if version < self._seen:
            return True
        held = ((self.items[name], item) for name, item in listed.items() if name in self.items)
        return any(item.version < before.version <= version for before, item in held)

    def _take(self, event: JSON) -> None:
        self._silences = 0
        self._is_well()
        if event["type"] == "BOOKMARK":
            self._seen = max(self._seen, int(event["object"]["metadata"]["resourceVersion"]))
            return
        after = self._kind.parse(event["object"])
        self._seen = max(self._seen, after.version)
        if event["type"] == "DELETED":
            held = self.items.get(after.name)
            if held is None or held.version <= after.version:
                if held is not None:
                    self._drop(after.name)
                self._certainty.hear_gone(after.name, after.version)
        elif self._put(after):
            self._certainty.hear(after.name, after.version)

    def _put(self, after: T) -> bool:
        """Whether it is newer than what was known."""
        before = self.items.get(after.name)
        if before is not None and before.version >= after.version:
            return False
        self.items[after.name] = after
        if before != after:
            self._on_change(before, after)
        return True

    def _drop(self, name: str) -> None:
        self._on_change(self.items.pop(name), None)

    def _forget(self, refusal: str) -> None:
        self._is_known.clear()
        self.refusal = refusal
        for name in list(self.items):
            self._drop(name)

    def _is_well(self) -> None:
        self._has_answered.set()
        if self._silences <= _MOST_SILENCES:
            self._broken_since, self._trouble, self.refusal = None, "", ""

    def _is_broken(self, error: SpecstreamError) -> None:
        if not self._trouble:
            logger.warning("cannot watch the cluster", resource=self._kind.resource, error=str(error))
        self._trouble = str(error)
        if isinstance(error, Silent):
            self._silences += 1
            self._broken_since = -math.inf
            if self._silences > _MOST_SILENCES:
                self._trouble += " again: what is listed meanwhile may be old"
        elif self._broken_since is None:
            self._broken_since = self._ticks()
        self._has_answered.set()
