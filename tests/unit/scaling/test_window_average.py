"""Averages over a window of buckets: the published stories, and what is no data."""

import pytest

from libs.common.scaling.window_average import AverageBuckets, window_average

START = 1_700_000_000


def average(window_s, pairs, after_s, *, granularity_s=1, start=START):
    """pairs: seconds after the start, and what was recorded then, added up."""
    sums = {}
    for after, value in pairs:
        bucket = int((start + after) // granularity_s)
        sums[bucket] = sums.get(bucket, 0) + value
    first, last = (min(sums), max(sums)) if sums else (None, None)
    buckets = AverageBuckets(window_s, granularity_s, sums, first, last)
    return window_average(buckets, now=start + after_s)


FIVE = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize(
    ("pairs", "after_s", "expected"),
    [
        pytest.param([(0, 1)], 0, 1, id="of the first second, not of the whole window"),
        pytest.param(FIVE, 4, 3, id="of the whole window"),
        pytest.param(FIVE, 3.6, 3, id="a clock that lags"),
        pytest.param([*FIVE, (5, 6)], 5, 4, id="what is older than the window does not count"),
        pytest.param(FIVE, 6, 4, id="two seconds without a word are left out"),
        pytest.param(FIVE, 8, 5, id="four seconds without a word"),
        pytest.param(FIVE, 9, None, id="a whole window without a word: no data"),
        pytest.param(FIVE, 10, None, id="more than that"),
        pytest.param([*FIVE, (6, 91)], 6, (3 + 4 + 5 + 91) / 5, id="a hole is 0"),
        pytest.param([(57, 4), (60, 1984)], 60, (4 + 1984) / 4, id="shorter than the window, with a hole"),
        pytest.param([], 0, None, id="nothing: no data"),
        pytest.param([(0, 0)], 0, 0, id="0 is data"),
    ],
)
def test_average_of_five_seconds(pairs, after_s, expected):
    assert average(5, pairs, after_s) == expected


def test_averages_are_rounded_down_to_millionths():
    assert average(5, [(0, 1), (1, 0), (2, 0)], 2) == 0.333333


@pytest.mark.parametrize(("window_s", "expected"), [(5, 22 / 2), (6, 22 / 2), (7, 12.333333)])
def test_buckets_of_three_seconds(window_s, expected):
    """A window is the whole number of buckets that has room for it."""
    start = 1_700_000_001  # a whole number of three seconds
    pairs = [(0, 10), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]
    assert average(window_s, pairs, 6, granularity_s=3, start=start) == expected
