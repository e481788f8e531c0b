"""What the replicas wrote, from the containers' own logs. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from libs.common.cluster.port import LogLine
from libs.common.errors import BadRequest

_ID: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z-[0-9a-z-]+-\d{6}")
_TIME: Final = re.compile(r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<part>\d{1,9}))?Z")


def check_id(after: str) -> None:
    """Raises BadRequest for what is not the id of a line."""
    if _ID.fullmatch(after) is None:
        raise BadRequest("after is not the id of a log line")


def since_of(after: str) -> str:
    """The second of a line, as the API server's `sinceTime` has it."""
    return after[:19] + "Z"


def parse_lines(replica_id: str, wrote: bytes) -> Iterator[LogLine]:
    """The lines of one container, each with the time that the container runtime gave it.

    A line's id is made of its time, its replica, and its place among those of the same time, so it is the
    same whenever it is read. What has no time is the rest of a line that was cut, and left out.
    """
    last, place = "", 0
    for line in wrote.decode(errors="replace").split("\n"):
        stamp, _, message = line.partition(" ")
        time = _TIME.fullmatch(stamp)
        if time is None:
            continue
        moment = f"{time['second']}.{(time['part'] or '').ljust(9, '0')}Z"
        place = place + 1 if moment == last else 0
        last = moment
        yield LogLine(
            id=f"{moment}-{replica_id}-{place:06d}",
            replica_id=replica_id,
            message=message,
            written_at=datetime.fromisoformat(moment[:26] + "Z"),
        )


def merge(lines: Iterable[LogLine], *, after: str | None, newest_first: bool) -> list[LogLine]:
    """In order, without those up to `after` in that order."""
    ordered = sorted(lines, key=lambda line: line.id, reverse=newest_first)
    if after is None:
        return ordered
    return [line for line in ordered if (line.id < after if newest_first else line.id > after)]
