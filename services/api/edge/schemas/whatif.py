"""What a policy would have done on recorded load, beside what happened."""

from typing import Self

from pydantic import Field

from services.api.edge.schemas.base import Answer
from services.api.edge.trying import Side


class SideAnswer(Answer):
    """Of the time from `recordedFrom` to `to`. cost: null where the machine type has no price for all of it.
    minutesAboveTarget: in which some metric was above the target of the policy that is tried."""

    replica_hours: float
    cost: float | None
    changes: int
    peak: int
    minutes_above_target: int

    @classmethod
    def of(cls, side: Side, cost: float | None) -> Self:
        return cls(
            replica_hours=round(side.replica_hours, 6),
            cost=None if cost is None else round(cost, 6),
            changes=side.changes,
            peak=side.peak,
            minutes_above_target=side.minutes_above_target,
        )


class NumbersAnswer(Answer):
    """From then on, until the next one."""

    timestamp: str
    actual: int
    proposed: int


class WhatIfAnswer(Answer):
    """from, to: what was looked at. recordedFrom: the first minute of this deployment in it; null where
    nothing is recorded, and then there are no sides. unpriced: machine types without a price. series: the
    first numbers, and each change of either."""

    from_: str = Field(alias="from")
    to: str
    recorded_from: str | None
    resolution_seconds: int
    assumptions: list[str]
    actual: SideAnswer | None
    proposed: SideAnswer | None
    unpriced: list[str]
    series: list[NumbersAnswer]
