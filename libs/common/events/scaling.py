"""Facts of a deployment's `scaling`: how many replicas the load asked for. Their id is the deployment's.

A decision holds all that led to it, so that it can be explained and made again from the fact alone. Times in
it are ages in seconds before the decision, so no clock is needed to read it.
"""

from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from libs.common.events.fact import Fact, FactPart, MadeId
from libs.common.scaling.behavior import RateType
from libs.common.scaling.cause import Cause
from libs.common.scaling.conditions import Reason
from libs.common.scaling.proposals import Unknown
from libs.common.spec.model import Autoscaling


class ScalingFact(Fact):
    aggregate: ClassVar[str] = "scaling"


class MetricName(StrEnum):
    """What a policy by metrics can go by; the `metric` of a spec."""

    CPU = "cpu"
    MEMORY = "memory"
    REQUEST_DURATION = "requestDuration"


class _Part(FactPart):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")


class MetricOutcome(_Part):
    """What one metric came to: sums over the replicas, never a list of them.

    value, target: in the unit of the spec, percent or seconds. ratio: value over target.
    proposal: replicas; `counted_ratio` x `counted`, rounded up, or the number before where `is_held`.
    unknown: why it proposes nothing; then nothing of the above is there but the target.
    ready, unready, missing: how many replicas were so when it was measured.
    window_s: what the value is averaged over. age_s: how long before the decision the oldest sample ended.
    """

    metric: MetricName
    target: float
    value: float | None = None
    ratio: float | None = None
    proposal: int | None = None
    counted_ratio: float | None = None
    counted: int | None = None
    is_held: bool = False
    unknown: Unknown | None = None
    ready: int = 0
    unready: int = 0
    missing: int = 0
    window_s: float | None = None
    age_s: float | None = None


class StabilisedTo(_Part):
    """What recent recommendations left of the highest proposal.

    deciding_replicas, deciding_age_s: the earlier recommendation whose number this is, if it is one's.
    """

    replicas: int
    reason: Reason
    deciding_replicas: int | None = None
    deciding_age_s: float | None = None


class LimitedTo(_Part):
    """What bounds and rates left of that.

    rate_type, rate_value, rate_period_s: the rate that cut it, if one did. began_with: how many replicas
    there were when its period began.
    """

    replicas: int
    reason: Reason
    rate_type: RateType | None = None
    rate_value: int | None = None
    rate_period_s: int | None = None
    began_with: int | None = None


class InFlightOutcome(_Part):
    """What requests in flight came to, and the memory that the decision began with.

    stable, panic: average requests in flight over the window and over a tenth of it.
    panicking_for_s: since when the panic went on, before this decision; most_in_panic: the highest number
    wanted in it. step_age_s: since when the delay before the next step down had run.
    needed: within the bounds.
    """

    stable: float
    panic: float
    ready: int
    needed: int
    panicking_for_s: float | None = None
    most_in_panic: int = 0
    step_age_s: float | None = None


class ReplicasDecided(ScalingFact):
    """Load, or the bounds, ask for another number of replicas.

    spec_id: the newest spec when it was decided. stretch_id: the first spec of the stretch with autoscaling
    on; the decision counts only while that is the same.
    floor: `replicas` of that spec. policy: its autoscaling.
    reason: why the number changes. winner: the metric that proposed the most.
    is_rolling_out: a new run was coming up, so the number could not fall.
    """

    spec_id: MadeId
    stretch_id: MadeId
    from_replicas: int
    to_replicas: int
    floor: int
    policy: Autoscaling
    reason: Cause
    is_rolling_out: bool = False
    metrics: tuple[MetricOutcome, ...] = ()
    winner: MetricName | None = None
    stabilised: StabilisedTo | None = None
    limited: LimitedTo | None = None
    in_flight: InFlightOutcome | None = None
