"""One value for all that is tried again."""

import pytest

from libs.common.back_off import BackOff

DOUBLING = BackOff(0.5, 30.0)


def test_a_pause_grows_with_the_failures_up_to_the_longest():
    assert [DOUBLING.pause_s(n) for n in (1, 2, 3, 6, 7, 10_000)] == [0.5, 1.0, 2.0, 16.0, 30.0, 30.0]


def test_a_pause_before_any_failure_is_the_first():
    assert DOUBLING.pause_s(0) == 0.5


@pytest.mark.parametrize(
    "back_off", [DOUBLING, BackOff(0.1, 1.0, 1.5), BackOff(0.005, 0.5)], ids=["doubling", "slower", "short"]
)
def test_the_next_pause_is_that_of_one_more_failure(back_off: BackOff):
    pause_s = 0.0
    for failures in range(1, 50):
        pause_s = back_off.next_s(pause_s)
        assert pause_s == pytest.approx(back_off.pause_s(failures))


def test_it_never_changes():
    with pytest.raises(AttributeError):
        DOUBLING.first_s = 1.0  # type: ignore[misc]
