"""How an excess goes, step by step."""

import pytest

from libs.common.scaling.stepping import Step, step_down

NOW = 1_000_000.0
DELAY_S = 900.0


def stepped(current, proposal, *, rate_percent=50, delay_s=DELAY_S, since_s=DELAY_S):
    """since_s: how long ago the last step was; None: no delay runs."""
    last_step = None if since_s is None else NOW - since_s
    return step_down(
        current, proposal, rate_percent=rate_percent, delay_s=delay_s, last_step=last_step, now=NOW
    )


@pytest.mark.parametrize(
    ("current", "proposal", "rate_percent", "replicas"),
    [
        pytest.param(8, 0, 50, 4, id="half of 8"),
        pytest.param(4, 0, 50, 2, id="half of 4"),
        pytest.param(2, 0, 50, 1, id="half of 2"),
        pytest.param(1, 0, 50, 0, id="at least one"),
        pytest.param(7, 0, 50, 4, id="half of 7, rounded down, is 3"),
        pytest.param(3, 0, 50, 2, id="half of 3, rounded down, is 1"),
        pytest.param(10, 2, 50, 6, id="of the excess and not of all"),
        pytest.param(3, 2, 50, 2, id="the last of the excess"),
        pytest.param(10, 0, 10, 9, id="10 % of 10"),
        pytest.param(9, 0, 10, 8, id="10 % of 9: at least one"),
        pytest.param(100, 0, 1, 99, id="1 % of 100"),
        pytest.param(100, 50, 1, 99, id="1 % of 50: at least one"),
        pytest.param(5, 0, 100, 0, id="all at once"),
    ],
)
def test_a_step(current, proposal, rate_percent, replicas):
    assert stepped(current, proposal, rate_percent=rate_percent) == Step(replicas, NOW)


@pytest.mark.parametrize(
    ("proposal", "since_s", "delay_s", "expected"),
    [
        pytest.param(0, 899.9, DELAY_S, Step(8, NOW - 899.9), id="the delay is not over"),
        pytest.param(0, 900, DELAY_S, Step(4, NOW), id="it is over now"),
        pytest.param(0, 9000, DELAY_S, Step(4, NOW), id="it has been over for long"),
        pytest.param(0, None, DELAY_S, Step(8, NOW), id="it begins"),
        pytest.param(0, None, 0, Step(4, NOW), id="there is none"),
        pytest.param(8, 500, DELAY_S, Step(8, None), id="as many are needed: it ends"),
        pytest.param(11, 500, DELAY_S, Step(11, None), id="more are needed: at once"),
        pytest.param(None, 500, DELAY_S, Step(8, None), id="unknown: they might be needed"),
        pytest.param(None, None, DELAY_S, Step(8, None), id="unknown, and none ran"),
    ],
)
def test_the_delay(proposal, since_s, delay_s, expected):
    assert stepped(8, proposal, since_s=since_s, delay_s=delay_s) == expected


@pytest.mark.parametrize("rate_percent", [0, -1, 101])
def test_a_rate_is_a_part(rate_percent):
    with pytest.raises(
        ValueError, match=f"rate_percent is {rate_percent}: it must be above 0 and at most 100"
    ):
        stepped(8, 0, rate_percent=rate_percent)
