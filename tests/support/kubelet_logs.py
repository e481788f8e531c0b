"""The log of one container as a kubelet serves it, by what `pkg/kubelet/kuberuntime/logs` does. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from libs.common.cluster.kubernetes.logs import Parser
from libs.common.cluster.port import LogLine

TIME = "%Y-%m-%dT%H:%M:%S"


@dataclass(frozen=True)
class Record:
    """One line of the runtime's file. at_ns: within its second. ends: False for a piece of a line."""

    second: datetime
    at_ns: int
    text: str
    ends: bool = True

    @property
    def stamp(self) -> str:
        return f"{self.second.strftime(TIME)}.{self.at_ns:09d}Z"


@dataclass
class ContainerLog:
    records: list[Record] = field(default_factory=list)
    given: int = 0
    """Bytes that were read of it."""
    asked: int = 0
    """How often."""

    def write(self, *records: Record) -> None:
        self.records += records

    def serve(self, query: Mapping[str, str]) -> bytes:
        """What the API server's `pods/log` answers, with the times."""
        assert query["timestamps"] == "true"
        self.asked += 1
        wrote = served(self.records, query)
        self.given += len(wrote)
        return wrote


def served(records: Iterable[Record], query: Mapping[str, str]) -> bytes:
    """The last lines first, then those since, then the limit, each with the time of its first piece."""
    chosen = list(records)
    if (tail := query.get("tailLines")) is not None:
        chosen = chosen[max(0, len(chosen) - int(tail)) :]
    if (since := query.get("sinceTime")) is not None:
        begin = datetime.strptime(since, f"{TIME}Z").replace(
            tzinfo=chosen[0].second.tzinfo if chosen else None
        )
        chosen = [record for record in chosen if record.second >= begin]
    wrote = bytearray()
    begins = True
    for record in chosen:
        if begins:
            wrote += f"{record.stamp} ".encode()
        wrote += record.text.encode()
        if record.ends:
            wrote += b"\n"
        begins = record.ends
    limit = query.get("limitBytes")
    return bytes(wrote if limit is None else wrote[: int(limit)])


def parse_lines(replica_id: str, wrote: bytes, *, is_whole: bool = True) -> list[LogLine]:
    """What was served. is_whole: whether what comes last is a line, though nothing ends it."""
    parser = Parser(replica_id)
    lines = parser.take(wrote)
    return [*lines, *parser.end()] if is_whole else lines
