"""The lines that the replicas of a deployment wrote, in the order of the deployment's index.

A line's `written_at` is when the index noticed it: within about a second while the replica writes, 8 s
after a quiet time, at once when somebody reads or the process has ended. Its id is its entry in the index
and its offset in its log. Of each replica the newest 32 MiB are kept. What a call costs depends on the lines
it gives and on how many replicas there are, not on how long they have been writing.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from libs.common.cluster.local.home import Home
from libs.common.cluster.local.shim import files
from libs.common.cluster.local.shim.log_index import KEEP_LOG_BYTES, LONGEST_LINE, LogIndex, gone, set_aside
from libs.common.cluster.local.shim.log_segments import Stretch, first_data
from libs.common.cluster.port import LogLine
from libs.common.errors import BadRequest, Issue

MOST_OPEN_LOGS = 8
"""Of one reader at a time, however many replicas there are."""
_BLOCK_BYTES = 256 * 1024

_ID = re.compile(r"(\d{10})-(\d{15})")


def line_id(entry: int, offset: int) -> str:
    """Sorts as text in the order of the lines."""
    return f"{entry:010d}-{offset:015d}"


def place_of(after: str) -> tuple[int, int]:
    """The entry and offset of a line id. Raises BadRequest."""
    found = _ID.fullmatch(after)
    if found is None:
        issue = Issue(("after",), "must be the id of a log line", after)
        raise BadRequest("after is not the id of a log line", [issue])
    return int(found[1]), int(found[2])


def read_lines(
    home: Home,
    deployment_id: str,
    *,
    replica_id: str | None,
    after: str | None,
    newest_first: bool = False,
    now: datetime,
) -> Iterator[LogLine]:
    """Blocks on the disk between lines."""
    place = place_of(after) if after is not None else None
    deployment = home.deployment(deployment_id)
    index = LogIndex(str(deployment))
    logs = _Logs(deployment, home.replicas(deployment_id), index)
    try:
        logs.note(now)
        wanted = {order for order, each in logs.replica_ids.items() if replica_id in (None, each)}
        if newest_first:
            stretches = index.stretches_backwards(place[0] if place else None)
        else:
            stretches = index.stretches(place[0] if place else 0)
        for stretch in stretches:
            if stretch.order not in wanted:
                continue
            offset = place[1] if place and place[0] == stretch.entry else None
            for at, line in logs.lines(stretch, offset, backwards=newest_first):
                here = (stretch.entry, at)
                if place is None or (here < place if newest_first else here > place):
                    yield LogLine(
                        id=line_id(*here),
                        replica_id=logs.replica_ids[stretch.order],
                        message=line.decode(errors="replace"),
                        written_at=datetime.fromtimestamp(stretch.noticed_at, UTC),
                    )
    finally:
        logs.close()


class _Logs:
    """The log of each replica of a deployment, of those that are gone too; a few of them open."""

    def __init__(self, deployment: Path, replicas: list[Path], index: LogIndex) -> None:
        """replica_ids: by the replica's number."""
        self._index = index
        self._deployment = str(deployment)
        self._open: OrderedDict[tuple[int, int], BufferedReader] = OrderedDict()
        self._live: dict[int, str] = {}
        for path in replicas:
            record = files.read_json(f"{path}/{files.RECORD}")
            if record is not None:
                self._live[int(record["order"])] = path.name
        # The gone ones last: a replica that goes in this moment is found in one place or the other.
        self._gone = dict(gone(self._deployment))
        self.replica_ids = self._live | self._gone

    def note(self, now: datetime) -> None:
        """Enter what is new. Where that cannot be written, on a full disk, what was entered is still read."""
        self._index.catch_up()
        for order in self.replica_ids:
            with suppress(OSError):
                self._index.note(order, self._path(order), now.timestamp(), has_ended=order in self._gone)

    def lines(self, stretch: Stretch, offset: int | None, *, backwards: bool) -> Iterator[tuple[int, bytes]]:
        """Each line of a stretch with its offset, without its line end; overlong ones in pieces.

        offset: of the line to begin at, or going backwards, of the line before which to begin.
        """
        file = self._file(stretch.order, stretch.generation)
        if file is None:
            return
        end = stretch.end
        begin = _begin(file, stretch)
        if not backwards:
            yield from _split(file, max(begin, offset or 0), end)
            return
        if offset is not None:
            end = min(end, offset)
        while end > begin:
            start = _line_start(file, begin, end)
            yield from reversed(list(_split(file, start, end)))
            end = start

    def close(self) -> None:
        for file in self._open.values():
            file.close()

    def _path(self, order: int) -> str:
        replica_id = self.replica_ids[order]
        if order in self._gone:
            return f"{self._deployment}/{files.GONE}/{order:010d}-{replica_id}/{files.LOG}"
        return f"{self._deployment}/{replica_id}/{files.LOG}"

    def _file(self, order: int, generation: int) -> BufferedReader | None:
        """None when it is not there any more."""
        key = order, generation
        if key not in self._open:
            file = self._opened(order, generation)
            if file is None:
                return None
            while len(self._open) >= MOST_OPEN_LOGS:
                self._open.popitem(last=False)[1].close()
            self._open[key] = file
        self._open.move_to_end(key)
        return self._open[key]

    def _opened(self, order: int, generation: int) -> BufferedReader | None:
        is_present = generation == self._index.generation(order)
        for _ in range(2):
            path = self._path(order)
            try:
                return Path(path if is_present else set_aside(path, generation)).open("rb")
            except FileNotFoundError:
                if order in self._gone or Path(path).parent.exists():
                    return None
                self._gone[order] = self.replica_ids[order]  # it went meanwhile
        return None


def _begin(file: BufferedReader, stretch: Stretch) -> int:
    """Where it begins, without what was given back to the disk and the rest of the line at the cut."""
    size = file.seek(0, 2)
    kept = max(first_data(file.fileno()), size - KEEP_LOG_BYTES * 3 // 2)
    if kept <= stretch.start:
        return stretch.start
    begin = min(kept, stretch.end)
    file.seek(begin)
    return begin + len(file.readline(stretch.end - begin))


def _line_start(file: BufferedReader, begin: int, end: int) -> int:
    """The start of a line some way before `end`, so of a block of lines; `begin` if there is none."""
    length = _BLOCK_BYTES
    while (base := end - length) > begin:
        file.seek(base)
        start = base + len(file.readline(length))
        if start < end:
            return start
        length *= 2
    return begin


def _split(file: BufferedReader, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    file.seek(at)
    while at < end:
        piece = file.readline(min(end - at, LONGEST_LINE))
        if not piece:
            return
        yield at, piece.rstrip(b"\r\n")
        at += len(piece)
