"""The present reasoning about a deployment: why its number of replicas is what it is now. Pure data.

It is kept beside the log, in a bucket, and written when its meaning changes; what is lost of it is worked out
again. `at` is when it was worked out, and its ages count back from there.
"""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from libs.common.events.scaling import (
    InFlightOutcome,
    LimitedTo,
    MetricName,
    MetricOutcome,
    StabilisedTo,
)
from libs.common.scaling.cause import Cause
from libs.common.scaling.conditions import ConditionType, Reason


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants", defer_build=True)


class ConditionShown(_Part):
    type: ConditionType
    is_true: bool
    reason: Reason
    message: str = ""


class Present(_Part):
    """The fields that a decision has too mean the same as in `ReplicasDecided`.

    current: the number in force. replicas: what it should be now; the same, unless a decision is on its way.
    held_until: when what holds a change back may let it go; None: nothing does, or nobody knows.
    unknown_since: since when nothing is known, by the name of what is measured, with the reason in `unknown`.
    """

    spec_id: str
    stretch_id: str
    at: datetime
    current: int
    replicas: int
    reason: Cause
    is_rolling_out: bool = False
    conditions: tuple[ConditionShown, ...] = ()
    metrics: tuple[MetricOutcome, ...] = ()
    winner: MetricName | None = None
    stabilised: StabilisedTo | None = None
    limited: LimitedTo | None = None
    in_flight: InFlightOutcome | None = None
    held_until: datetime | None = None
    unknown: Mapping[str, str] = {}
    unknown_since: Mapping[str, datetime] = {}
