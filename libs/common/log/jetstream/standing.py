"""What the log is before anything rests on it: which one, whether it is whole, whether it is still the same.

The answers are asked for once after each connection. Only while the broker is away can somebody exchange what
it holds, and an import begins only in an empty log, so a log that was whole stays so.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from libs.common.errors import LogImporting, LogReplaced, LogUnavailable
from libs.common.events.envelope import Position
from libs.common.log import wire
from libs.common.log.filters import ALL
from libs.common.log.jetstream.direct_get import DirectGet
from libs.common.log.jetstream.link import Link, status
from libs.common.log.port import Importing

IDENTITY = "specstream.log"
"""The key in the stream's metadata; provisioning writes it."""

_PAUSE_S = 0.05
_MANY_S = 10.0
"""For one answer with subjects: a page is of 100,000, and the broker goes over all of them for each."""


class Standing:
    """Of one stream, for one process."""

    def __init__(
        self, link: Link, reader: DirectGet, stream: str, *, deadline_s: float, attempt_s: float
    ) -> None:
        self._link = link
        self._reader = reader
        self._info = f"$JS.API.STREAM.INFO.{stream}"
        self._deadline_s = deadline_s
        self._attempt_s = attempt_s
        self._identity: str | None = None
        self._same_at: int | None = None
        self._whole_at: int | None = None
        self._seen = Position(0)

    def saw(self, sequence: int, hash_: str) -> None:
        """An event of the log was used: whatever the log is later, it has to have it."""
        if sequence > self._seen.sequence:
            self._seen = Position(sequence, hash=hash_)

    async def identity(self) -> str:
        """Raises LogReplaced when it is not the one that it was."""
        if self._same_at == self._link.reconnects and self._identity is not None:
            return self._identity
        reconnects = self._link.reconnects
        identity = await self._ask()
        if self._identity not in (None, identity):
            raise LogReplaced(f"the log is {identity or 'nameless'}, not {self._identity} as before")
        if not await self._has_event(self._seen):
            raise LogReplaced(f"the log does not have event {self._seen.sequence} any more as it was seen")
        self._identity, self._same_at = identity, reconnects
        return identity

    async def has(self, position: Position) -> bool:
        """By the answer of the stream's leader."""
        return position.log in ("", await self.identity()) and await self._has_event(position)

    @property
    def is_known_whole(self) -> bool:
        """Whether the log was found to have events, and not to end inside an import."""
        return self._whole_at == self._link.reconnects

    async def check(self) -> bool:
        """Whether the log has events. Raises LogImporting, LogReplaced, LogUnavailable."""
        if self.is_known_whole:
            return True
        reconnects = self._link.reconnects
        await self.identity()
        newest = await self._reader.from_leader({"last_by_subj": ALL})
        if newest is None:
            return False
        until = wire.import_until(newest.headers)
        if newest.sequence < until and await self._begins_with_import(until):
            raise LogImporting(newest.sequence, until)
        self._whole_at = reconnects
        return True

    async def importing(self) -> Importing | None:
        try:
            await self.check()
        except LogImporting as importing:
            return Importing(importing.sequence, importing.events)
        return None

    async def _begins_with_import(self, until: int) -> bool:
        """An import begins with the log; what only one event says of itself holds nobody up."""
        first = await self._reader.from_leader({"seq": 1})
        return first is not None and wire.import_until(first.headers) == until

    async def _has_event(self, position: Position) -> bool:
        if position.sequence == 0:
            return True
        found = await self._reader.from_leader({"seq": position.sequence})
        return found is not None and position.hash in ("", found.headers.get(wire.HASH, ""))

    async def subjects(self, one_filter: str) -> set[str]:
        """Every subject that there is, as the stream's leader tells in pages. Events are never deleted, so
        what comes in between moves others to a later page and none to an earlier one."""
        found: set[str] = set()
        place = 0
        while True:
            request = {"subjects_filter": one_filter, "offset": place}
            answer = await self._informed(request, attempt_s=_MANY_S)
            page = answer.get("state", {}).get("subjects") or {}
            found |= page.keys()
            place += len(page)
            if not page or place >= int(answer.get("total", 0)):
                return found

    async def _ask(self) -> str:
        """Empty for a stream that no provisioning has named."""
        answer = await self._informed({}, attempt_s=self._attempt_s)
        return str((answer["config"].get("metadata") or {}).get(IDENTITY, ""))

    async def _informed(self, request: Mapping[str, Any], *, attempt_s: float) -> dict[str, Any]:
        until = self._link.ticks() + self._deadline_s
        payload = json.dumps(request).encode() if request else b""
        while True:
            await self._link.connected(until=until)
            message = await self._link.request(self._info, payload, timeout_s=attempt_s)
            answer: dict[str, Any] = (
                json.loads(message.data) if message is not None and status(message) is None else {}
            )
            if "config" in answer:
                return answer
            if self._link.ticks() >= until:
                problem = answer.get("error", {}).get("description", "no answer")
                raise LogUnavailable(
                    f"the log does not say which it is: {problem}; a denied permission looks the same"
                )
            await asyncio.sleep(_PAUSE_S)
