"""What the replicas wrote, from the containers' own logs. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from libs.common.cluster.port import LogLine
from libs.common.errors import BadRequest, Issue

_ID: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z-[0-9a-z-]+-\d{6}")
_TIME: Final = re.compile(
    r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<part>\d{1,9}))?(?P<zone>Z|[+-]\d\d:\d\d)"
)
_SECOND: Final = "%Y-%m-%dT%H:%M:%S"
_MOMENT: Final = len("2026-01-01T00:00:00.000000000Z")
_LONGEST_STAMP: Final = len("2026-01-01T00:00:00.000000000+00:00 ")

PIECE_BYTES: Final = 4096
"""A line that is shorter was never written in pieces: container runtimes cut lines at 16 KiB."""
LONGEST_LINE: Final = 64 * 1024
"""Bytes, with its time. The end of a longer one is left out, as it comes: nobody can ask for less of it."""


def check_id(after: str) -> None:
    """Raises BadRequest for what is not the id of a line."""
    issue = Issue(("after",), "must be the id of a log line", after[:100])
    if _ID.fullmatch(after) is None:
        raise BadRequest("after is not the id of a log line", [issue])
    try:
        second_of(after)
    except ValueError as error:
        raise BadRequest("after is not the id of a log line", [issue]) from error


def moment_of(line_id: str) -> str:
    return line_id[:_MOMENT]


def second_of(line_id: str) -> datetime:
    """The second in which a line was written: the API server's `sinceTime` knows nothing finer."""
    return datetime.strptime(line_id[: len("2026-01-01T00:00:00")], _SECOND).replace(tzinfo=UTC)


def since(second: datetime) -> str:
    """As the API server's `sinceTime` has it."""
    return f"{second.strftime(_SECOND)}Z"


def last_second_before(second: datetime, seconds: float) -> datetime:
    return (second - timedelta(seconds=seconds)).replace(microsecond=0)


class Parser:
    """The lines of one container, as its log comes in, each with the time that the runtime gave it.

    A line's id is made of its time in UTC, its replica, and its place among those of the same time. The
    processes of a replica follow each other, so the time tells them apart too; and a line has the same id
    whenever it is read, as long as reading begins with the first line of its time.
    """

    def __init__(self, replica_id: str) -> None:
        self._replica_id = replica_id
        self._rest = bytearray()
        self._last, self._place = "", 0

    def take(self, wrote: bytes) -> list[LogLine]:
        """Those that are whole by now. What has no time is the rest of a line that was cut, and left out."""
        begin, *others = wrote.split(b"\n")
        self._go_on(begin)
        whole = []
        for line in others:
            whole.append(bytes(self._rest))
            self._rest.clear()
            self._go_on(line)
        return self._parsed(whole)

    def end(self) -> list[LogLine]:
        """The last one of a process that has ended without ending its line."""
        rest = bytes(self._rest)
        self._rest.clear()
        return self._parsed([rest])

    def _go_on(self, piece: bytes) -> None:
        self._rest += piece[: LONGEST_LINE - len(self._rest)]

    def pass_over(self, line: bytes) -> None:
        """A whole line that nobody wants: those of its time that come behind it have their places by it."""
        self._moment(line[:_LONGEST_STAMP].partition(b" ")[0].decode(errors="replace"))

    def _parsed(self, lines: Iterable[bytes]) -> list[LogLine]:
        parsed = []
        for line in lines:
            stamp, _, message = line.decode(errors="replace").partition(" ")
            moment = self._moment(stamp)
            if moment is None:
                continue
            parsed.append(
                LogLine(
                    id=f"{moment}-{self._replica_id}-{self._place:06d}",
                    replica_id=self._replica_id,
                    message=message,
                    written_at=datetime.fromisoformat(moment[:26] + "Z"),
                )
            )
        return parsed

    def _moment(self, stamp: str) -> str | None:
        """The time of the next line, in UTC; None where it has none, and so no place."""
        time = _TIME.fullmatch(stamp)
        if time is None:
            return None
        moment = f"{_second(time)}.{(time['part'] or '').ljust(9, '0')}Z"
        self._place = self._place + 1 if moment == self._last else 0
        self._last = moment
        return moment


def without_first_moment(lines: list[LogLine]) -> list[LogLine]:
    """What is sure of the end of a log: its first line may be a piece of one, and those of the same time may
    not be all of them."""
    first = moment_of(lines[0].id) if lines else ""
    return [line for line in lines if moment_of(line.id) != first]


def _second(time: re.Match[str]) -> str:
    """In UTC: a runtime writes the time as its node's zone has it."""
    if time["zone"] == "Z":
        return time["second"]
    return datetime.fromisoformat(time["second"] + time["zone"]).astimezone(UTC).strftime(_SECOND)
