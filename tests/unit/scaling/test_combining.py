"""What several metrics propose together."""

import pytest

from libs.common.scaling.combining import MetricOutcome, combine
from libs.common.scaling.conditions import ConditionType, MetricFailure, Reason
from libs.common.scaling.proposals import Proposal, Unknown


def proposes(name, replicas):
    return MetricOutcome(name, Proposal(replicas, ratio=1.0, average=0))


CPU_UNKNOWN = MetricOutcome("cpu", Unknown.NO_SAMPLES)
DURATION_UNKNOWN = MetricOutcome("requestDuration", Unknown.NO_SAMPLES, MetricFailure.EXTERNAL)

FOUND = (True, Reason.VALID_METRIC_FOUND)
NO_CPU = (False, Reason.FAILED_GET_RESOURCE_METRIC)
NO_DURATION = (False, Reason.FAILED_GET_EXTERNAL_METRIC)


@pytest.mark.parametrize(
    ("outcomes", "current", "replicas", "winner", "active"),
    [
        pytest.param([proposes("cpu", 4)], 3, 4, "cpu", FOUND, id="one"),
        pytest.param([proposes("cpu", 2), proposes("memory", 4)], 3, 4, "memory", FOUND, id="the highest"),
        pytest.param(
            [proposes("cpu", 4), proposes("memory", 4)], 3, 4, "cpu", FOUND, id="the first of equals"
        ),
        pytest.param([proposes("cpu", 2), proposes("memory", 1)], 3, 2, "cpu", FOUND, id="all below"),
        pytest.param([proposes("cpu", 0)], 3, 0, "cpu", FOUND, id="none are needed"),
        pytest.param([CPU_UNKNOWN, proposes("memory", 4)], 3, 4, "memory", FOUND, id="unknown, the other up"),
        pytest.param(
            [DURATION_UNKNOWN, proposes("cpu", 3)], 3, 3, "cpu", FOUND, id="unknown, the other stays"
        ),
        pytest.param(
            [proposes("cpu", 2), DURATION_UNKNOWN],
            3,
            3,
            "cpu",
            NO_DURATION,
            id="unknown, the other down: held",
        ),
        pytest.param([CPU_UNKNOWN], 3, 3, None, NO_CPU, id="all unknown: held"),
        pytest.param([DURATION_UNKNOWN, CPU_UNKNOWN], 3, 3, None, NO_DURATION, id="the first one tells why"),
        pytest.param([CPU_UNKNOWN, DURATION_UNKNOWN], 0, 0, None, NO_CPU, id="held at 0"),
    ],
)
def test_combine(outcomes, current, replicas, winner, active):
    combined = combine(outcomes, current=current)
    assert (combined.replicas, combined.winner) == (replicas, winner)
    condition = combined.scaling_active
    assert condition.type is ConditionType.SCALING_ACTIVE
    assert (condition.is_true, condition.reason) == active
    assert combined.is_held == (not condition.is_true)


def test_a_message_names_the_metric_and_what_is_unknown_of_it():
    assert combine([CPU_UNKNOWN], current=3).scaling_active.message == "cpu: no_samples"
    assert combine([proposes("memory", 3)], current=3).scaling_active.message == "from memory"


def test_without_a_metric_there_is_nothing_to_combine():
    with pytest.raises(ValueError, match="there are 0 metrics"):
        combine([], current=3)
