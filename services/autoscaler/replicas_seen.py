"""Since when each replica is what it is, on a clock that nobody sets. Pure.

The facts have times of day, by the clock of another process, which may be set. So a change counts from when
it was heard of. Only what was there before anybody listened is taken by its times of day; one that is still
to come counts as now, which makes a replica younger than it is and so delays a change.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from libs.common.events.replica import Replica, ReplicaState


@dataclass(frozen=True, slots=True)
class Seen:
    attempt: int
    is_ready: bool
    started_at: float | None
    ready_changed_at: float
    """Since when `is_ready` is what it is."""


@dataclass(slots=True)
class ReplicasSeen:
    """Of every replica, by deployment."""

    _by_deployment: dict[str, dict[str, Seen]] = field(default_factory=dict)

    def note(
        self, deployment_id: str, replicas: Iterable[Replica], *, now: float, wall: datetime | None = None
    ) -> None:
        """The roster is so now. wall: the time of day, where that is what was stored before anybody listened;
        None for news."""
        before = self._by_deployment.get(deployment_id, {})
        after = {one.replica_id: _seen(one, before.get(one.replica_id), now, wall) for one in replicas}
        if after:
            self._by_deployment[deployment_id] = after
        else:
            self._by_deployment.pop(deployment_id, None)

    def of(self, deployment_id: str) -> dict[str, Seen]:
        return self._by_deployment.get(deployment_id, {})

    def forget(self, deployment_id: str) -> None:
        self._by_deployment.pop(deployment_id, None)


def _seen(replica: Replica, before: Seen | None, now: float, wall: datetime | None) -> Seen:
    is_ready = replica.state is ReplicaState.RUNNING
    if before is not None and before.attempt == replica.attempt:
        started_at, changed_at = before.started_at, before.ready_changed_at
        if started_at is None and replica.started_at is not None:
            started_at = changed_at = now
        if before.is_ready != is_ready:
            changed_at = now
        return Seen(replica.attempt, is_ready, started_at, changed_at)
    if wall is None:
        return Seen(replica.attempt, is_ready, None if replica.started_at is None else now, now)
    began = replica.started_at or replica.created_at
    changed = replica.changed_at[-1] if replica.changed_at else replica.ready_at if is_ready else began
    return Seen(
        replica.attempt,
        is_ready,
        None if replica.started_at is None else _heard(replica.started_at, now, wall),
        _heard(max(changed or began, began), now, wall),
    )


def _heard(at: datetime, now: float, wall: datetime) -> float:
    return now - max(0.0, (wall - at).total_seconds())
