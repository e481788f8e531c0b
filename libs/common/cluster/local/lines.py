"""The lines that the replicas of a deployment wrote, in the order of the deployment's index.

A line's `written_at` is when the index noticed it: within about a second while the replica writes, 8 s
after a quiet time, at once when somebody reads or the process has ended. Its id is its entry in the index
and its offset in its log. Of each replica the newest 32 MiB are kept.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from libs.common.cluster.local.home import Home
from libs.common.cluster.local.record import Record, readable_record
from libs.common.cluster.local.shim import files
from libs.common.cluster.local.shim.log_index import LONGEST_LINE, LogIndex, Stretch
from libs.common.cluster.local.shim.state import State
from libs.common.cluster.port import LogLine
from libs.common.errors import BadRequest, Issue

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


class _Source:
    """The log of one replica, open."""

    def __init__(self, record: Record, file: BufferedReader, begins_at: int) -> None:
        self.record = record
        self.file = file
        self.begins_at = begins_at


def read_lines(
    home: Home, deployment_id: str, *, replica_id: str | None, after: str | None, now: datetime
) -> Iterator[LogLine]:
    """Blocks on the disk between lines."""
    entry, offset = place_of(after) if after is not None else (0, -1)
    sources: dict[int, _Source] = {}
    try:
        index = LogIndex(str(home.deployment(deployment_id)))
        # The gone ones last: a replica that goes in this moment is found in one place or the other.
        for source in _open_all(home.replicas(deployment_id)):
            sources[source.record.order] = source
            index.note(source.record.order, source.file.name, now.timestamp(), has_ended=False)
        for last in _open_all(home.gone(deployment_id)):
            if sources.setdefault(last.record.order, last) is not last:
                last.file.close()
        for stretch in index.stretches(entry):
            if stretch.order not in sources:
                continue
            source = sources[stretch.order]
            if replica_id not in (None, source.record.replica_id):
                continue
            written_at = datetime.fromtimestamp(stretch.noticed_at, UTC)
            for at, line in _lines(source, stretch):
                if stretch.entry > entry or at > offset:
                    yield LogLine(
                        id=line_id(stretch.entry, at),
                        replica_id=source.record.replica_id,
                        message=line.decode(errors="replace"),
                        written_at=written_at,
                    )
    finally:
        for source in sources.values():
            source.file.close()


def _open_all(directories: list[Path]) -> Iterator[_Source]:
    for directory in directories:
        record = readable_record(directory)
        try:
            file = (directory / files.LOG).open("rb")
        except FileNotFoundError:
            continue
        if record is None:
            file.close()
            continue
        state = State(files.read_json(f"{directory}/{files.STATE}"))
        yield _Source(record, file, state.log_start)


def _lines(source: _Source, stretch: Stretch) -> Iterator[tuple[int, bytes]]:
    """Each line of a stretch with its offset, without its line end; overlong ones in pieces."""
    at = max(stretch.start, source.begins_at)
    source.file.seek(at)
    if at > stretch.start and at < stretch.end:
        at += len(source.file.readline(stretch.end - at))  # what is left of the line at the cut
    while at < stretch.end:
        piece = source.file.readline(min(stretch.end - at, LONGEST_LINE))
        if not piece:
            return
        yield at, piece.rstrip(b"\r\n")
        at += len(piece)
