"""What one value of a whole deployment proposes; the published cases, in thousandths."""

import pytest

from libs.common.scaling.proposals import MOST, Tolerance, Unknown
from libs.common.scaling.value_proposal import propose_value

NARROW = Tolerance(up=0.01)


@pytest.mark.parametrize(
    ("value", "target", "ready", "current", "replicas"),
    [
        pytest.param(20_000, 15_000, 3, 3, 4, id="up"),
        pytest.param(50_000, 10_000, 1, 3, 5, id="up by those that are ready: 5 and not 15"),
        pytest.param(8_600, 4_400, 1, 3, 2, id="by those that are ready it may even be less"),
        pytest.param(8_600, 6_666, 3, 3, 4, id="up, by an external value"),
        pytest.param(12_000, 20_000, 5, 5, 3, id="down"),
        pytest.param(8_600, 14_334, 5, 5, 3, id="down, by an external value"),
        pytest.param(8_600, 14_400, 5, 5, 3, id="down, by another"),
        pytest.param(0, 20_000, 5, 5, 0, id="down to nothing"),
        pytest.param(20_666, 20_000, 3, 3, 3, id="within tolerance, above"),
        pytest.param(20_050, 20_000, 3, 3, 3, id="within tolerance, barely above"),
        pytest.param(8_600, 8_888, 3, 3, 3, id="within tolerance, below"),
        pytest.param(8_600, 8_666, 4, 4, 4, id="within tolerance, barely below"),
        pytest.param(22_000, 20_000, 3, 3, 3, id="exactly 10 % above"),
        pytest.param(18_000, 20_000, 3, 3, 3, id="exactly 10 % below"),
        pytest.param(22_001, 20_000, 3, 3, 4, id="a hair more than 10 % above"),
        pytest.param(20_000, 15_000, 0, 0, 2, id="from 0, by the ratio alone"),
        pytest.param(1_000, 1_000, 0, 0, 1, id="from 0, on target: tolerance does not hold it"),
        pytest.param(1, 1_000, 0, 0, 1, id="from 0, by the least load"),
        pytest.param(0, 1_000, 0, 0, 0, id="from 0, without load"),
        pytest.param(2**63 - 1, 1, 3, 3, MOST, id="more than can be counted"),
    ],
)
def test_published_cases(value, target, ready, current, replicas):
    assert propose_value(value, target=target, ready=ready, current=current).replicas == replicas


@pytest.mark.parametrize(
    ("value", "target", "replicas"),
    [(20_666, 20_000, 4), (8_900, 8_800, 4), (20_100, 20_000, 3)],
)
def test_a_tolerance_of_its_own_in_each_direction(value, target, replicas):
    proposal = propose_value(value, target=target, ready=3, current=3, tolerance=NARROW)
    assert proposal.replicas == replicas
    assert propose_value(19_000, target=20_000, ready=3, current=3, tolerance=NARROW).is_held


def test_unknown():
    assert propose_value(None, target=1, ready=3, current=3) is Unknown.NO_SAMPLES
    assert propose_value(5, target=1, ready=None, current=3) is Unknown.NO_REPLICAS


@pytest.mark.parametrize("target", [0, -5])
def test_a_target_is_above_0(target):
    with pytest.raises(ValueError, match=f"target is {target}: it must be a number above 0"):
        propose_value(5, target=target, ready=3, current=3)
