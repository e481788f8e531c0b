"""How it stands with a deployment's scaling, by the names that Kubernetes publishes. Pure data."""

from dataclasses import dataclass
from enum import StrEnum


class ConditionType(StrEnum):
    ABLE_TO_SCALE = "AbleToScale"
    """False: what is there or what is wanted could not be read or written."""
    SCALING_ACTIVE = "ScalingActive"
    """False: no number of replicas can be calculated."""
    SCALING_LIMITED = "ScalingLimited"
    """True: the number that was calculated was cut by the bounds or by how fast it may change."""


class MetricFailure(StrEnum):
    """Why no number can be calculated, by the kind of the metric."""

    RESOURCE = "FailedGetResourceMetric"
    """cpu or memory."""
    EXTERNAL = "FailedGetExternalMetric"
    """A value that is measured elsewhere than at the replicas: how long requests take, at the edge."""


class Reason(StrEnum):
    """Closed: every reason that a condition of ours can have."""

    SUCCEEDED_GET_SCALE = "SucceededGetScale"
    READY_FOR_NEW_SCALE = "ReadyForNewScale"
    SCALE_UP_STABILIZED = "ScaleUpStabilized"
    SCALE_DOWN_STABILIZED = "ScaleDownStabilized"
    SUCCEEDED_RESCALE = "SucceededRescale"

    VALID_METRIC_FOUND = "ValidMetricFound"
    SCALING_DISABLED = "ScalingDisabled"
    FAILED_GET_RESOURCE_METRIC = "FailedGetResourceMetric"
    FAILED_GET_EXTERNAL_METRIC = "FailedGetExternalMetric"

    DESIRED_WITHIN_RANGE = "DesiredWithinRange"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    TOO_MANY_REPLICAS = "TooManyReplicas"
    SCALE_UP_LIMIT = "ScaleUpLimit"
    SCALE_DOWN_LIMIT = "ScaleDownLimit"


@dataclass(frozen=True, slots=True)
class Condition:
    type: ConditionType
    is_true: bool
    reason: Reason
    message: str = ""
    """What a person needs to know beyond the reason; may be empty."""
