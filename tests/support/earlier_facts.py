"""Facts of replicas as version 1 wrote them: each with the whole roster after it, which had no pages."""

from collections.abc import Iterable
from typing import Any, ClassVar

from libs.common.events.fact import Fact
from libs.common.events.replica import Replica


class _ReplicaFact(Fact):
    aggregate: ClassVar[str] = "replica"

    replica_id: str
    roster: tuple[dict[str, Any], ...]


class ReplicaStarted(_ReplicaFact):
    pass


class ReplicaBecameReady(_ReplicaFact):
    reason: str = "probe_succeeded"


class ReplicaStopped(_ReplicaFact):
    reason: str = "stopped"
    message: str = "exit 0"


def earlier(kind: type[_ReplicaFact], replica_id: str, roster: Iterable[Replica]) -> _ReplicaFact:
    lines = tuple(r.model_dump(mode="json", exclude={"slot"}, exclude_none=True) for r in roster)
    return kind(replica_id=replica_id, roster=lines)
