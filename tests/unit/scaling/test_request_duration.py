"""What the average duration of requests proposes, and what it waits for."""

import pytest

from libs.common.scaling.proposals import Unknown
from libs.common.scaling.request_duration import RequestDuration, propose_duration, ready_for_s

NOW = 1_000_000.0
TARGET_US = 150_000
LONG = (86_400.0,)


def seconds(average_s, *, measured_s=300.0, answered=200):
    return RequestDuration(round(average_s * answered * 1e6), answered, measured_s)


def proposed(measured, *, ready_s, current):
    return propose_duration(
        measured,
        target_us=TARGET_US,
        ready_since=[NOW - age_s for age_s in ready_s],
        current=current,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("measured", "ready_s", "current", "replicas"),
    [
        pytest.param(seconds(0.25), LONG, 1, 2, id="too slow: 0.25/0.15 of 1, rounded up"),
        pytest.param(seconds(0.09), LONG * 3, 3, 2, id="fast: 0.09/0.15 of 3, rounded up"),
        pytest.param(seconds(0.15), LONG * 3, 3, 3, id="on target"),
        pytest.param(seconds(0.164), LONG * 3, 3, 3, id="within tolerance"),
        pytest.param(RequestDuration(0, 0), LONG * 3, 3, 0, id="no request is 0"),
        pytest.param(seconds(0.25, measured_s=299), LONG, 1, 1, id="too slow, for less than a window"),
        pytest.param(seconds(0.25), (299.0,), 1, 1, id="too slow, ready for less than a window"),
        pytest.param(seconds(0.25), (300.0,), 1, 2, id="too slow, ready for exactly a window"),
        pytest.param(seconds(0.25), (4000, 10), 2, 2, id="too slow, the second is ready for 10 s"),
        pytest.param(seconds(0.25), (4000, 300), 2, 4, id="too slow, both for a window"),
        pytest.param(seconds(0.25), (4000, 300, 5), 2, 5, id="a third is ready: it is counted"),
        pytest.param(seconds(0.25), (4000,), 2, 2, id="too slow, one of two is ready"),
        pytest.param(seconds(0.25), (4000,), 5, 5, id="too slow, one of five: never down"),
        pytest.param(seconds(0.05), (4000,), 5, 1, id="fast, one of five is ready"),
        pytest.param(seconds(0.12), LONG * 6, 3, 3, id="fast, six of three are ready: never up"),
        pytest.param(seconds(0.05, measured_s=10), LONG * 3, 3, 1, id="down needs no whole window"),
    ],
)
def test_proposals(measured, ready_s, current, replicas):
    assert proposed(measured, ready_s=ready_s, current=current).replicas == replicas


def test_unknown():
    assert proposed(None, ready_s=LONG, current=1) is Unknown.NO_SAMPLES
    assert proposed(None, ready_s=(), current=1) is Unknown.NO_SAMPLES
    assert proposed(RequestDuration(0, 0), ready_s=(), current=1) is Unknown.NO_READY_REPLICAS


def test_a_duration_is_an_average_in_whole_microseconds():
    assert RequestDuration(1_000_000, 3).average_us == 333_333
    assert RequestDuration(0, 0).average_us == 0


def test_for_how_long_so_many_have_been_ready():
    since = [NOW - 10, NOW - 500, NOW - 100]
    assert [ready_for_s(since, count, now=NOW) for count in (1, 2, 3, 4)] == [500, 100, 10, 0]


@pytest.mark.parametrize(("sum_us", "answered"), [(-1, 3), (3, -1)])
def test_less_than_nothing_is_refused(sum_us, answered):
    with pytest.raises(ValueError, match=f"{sum_us} us of {answered} requests: neither may be below 0"):
        RequestDuration(sum_us, answered)
