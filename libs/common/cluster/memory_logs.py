"""What the replicas of a cluster in memory write."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from libs.common.clock import Clock
from libs.common.cluster.port import LastWords, LogLine, LogPage, UnreadableLog, last_of
from libs.common.errors import BadRequest


@dataclass(slots=True)
class MemoryLogs:
    """unreadable: why what a replica wrote cannot be read, by the replica."""

    clock: Clock
    unreadable: dict[str, str] = field(default_factory=dict)
    _lines: dict[str, list[LogLine]] = field(default_factory=dict)
    """By deployment."""
    _written: int = 0
    _endings: dict[str, list[asyncio.Future[tuple[LogLine, ...]]]] = field(default_factory=dict)
    """Of those that wait for the end of a replica: they hear what it wrote."""

    def write(self, deployment_id: str, replica_id: str, message: str) -> None:
        self._written += 1
        line = LogLine(f"{self._written:010d}", replica_id, message, self.clock())
        self._lines.setdefault(deployment_id, []).append(line)

    def page(
        self,
        deployment_id: str,
        present: Iterable[str],
        *,
        limit: int,
        replica_id: str | None,
        after: str | None,
        newest_first: bool,
    ) -> LogPage:
        """present: the replicas that there are. Raises BadRequest."""
        if after is not None and not after.isdecimal():
            raise BadRequest("after is not the id of a log line")
        asked = {each for each in present if replica_id in (None, each)}
        unread = [
            UnreadableLog(each, self.unreadable[each]) for each in sorted(asked & self.unreadable.keys())
        ]
        found = [
            line
            for line in self._lines.get(deployment_id, ())
            if replica_id in (None, line.replica_id)
            and line.replica_id not in self.unreadable
            and (after is None or (line.id < after if newest_first else line.id > after))
        ]
        ordered = found[::-1] if newest_first else found
        return LogPage(
            tuple(ordered[:limit]),
            has_more=len(ordered) > limit,
            unreadable=tuple(unread),
            read=frozenset(asked - self.unreadable.keys()),
        )

    async def last_words(
        self, deployment_id: str, replica_id: str, *, most_bytes: int, ends_within_s: float
    ) -> AsyncIterator[LastWords]:
        """Of a replica that is there."""
        if problem := self.unreadable.get(replica_id):
            yield LastWords(problem=problem)
            return
        ended: asyncio.Future[tuple[LogLine, ...]] = asyncio.get_running_loop().create_future()
        self._endings.setdefault(replica_id, []).append(ended)
        try:
            yield LastWords(last_of(self._of(deployment_id, replica_id), most_bytes))
            if ends_within_s:
                await asyncio.wait([ended], timeout=ends_within_s)
                wrote = ended.result() if ended.done() else self._of(deployment_id, replica_id)
                yield LastWords(last_of(wrote, most_bytes))
        finally:
            self._endings[replica_id].remove(ended)

    def end(self, deployment_id: str, replica_id: str, *, forget: bool) -> None:
        """The replica is gone. forget: and what it wrote with it."""
        for ended in self._endings.get(replica_id, ()):
            if not ended.done():
                ended.set_result(self._of(deployment_id, replica_id))
        if forget:
            lines = self._lines.get(deployment_id, [])
            self._lines[deployment_id] = [line for line in lines if line.replica_id != replica_id]

    def forget(self, deployment_id: str) -> None:
        self._lines.pop(deployment_id, None)

    def _of(self, deployment_id: str, replica_id: str) -> tuple[LogLine, ...]:
        return tuple(line for line in self._lines.get(deployment_id, ()) if line.replica_id == replica_id)
