"""A replica of the roster with some of its fields changed, each by its name and type. Pure."""

from datetime import datetime
from typing import TypedDict, Unpack

from libs.common.events.replica import Replica, ReplicaReason, ReplicaState


class Changes(TypedDict, total=False):
    """The fields of a replica that change during its life."""

    state: ReplicaState
    address: str | None
    attempt: int
    started_at: datetime | None
    ready_at: datetime | None
    condemned_attempt: int | None
    startup_passed_attempt: int | None
    changed_at: tuple[datetime, ...]
    must_stay_ready_s: int
    full_until: datetime | None
    reason: ReplicaReason | None
    message: str | None


def changed(replica: Replica, **changes: Unpack[Changes]) -> Replica:
    """Validated, so that what a fact bounds is bounded here too."""
    return Replica.model_validate(dict(replica) | changes)
