"""Averages over a window of buckets; the published stories, and what is no data."""

import pytest

from libs.common.scaling.window_average import AverageBuckets, record, resized, window_average

START = 1_700_000_000.0


def recorded(buckets, *pairs, start=START):
    """Pairs of seconds after the start and a value."""
    for after_s, value in pairs:
        buckets = record(buckets, at=start + after_s, value=value)
    return buckets


def average(buckets, after_s, start=START):
    return window_average(buckets, now=start + after_s)


def sums(buckets):
    """By seconds after the start, without what is 0."""
    return {one * buckets.granularity_s - START: total for one, total in buckets.sums.items() if total}


@pytest.mark.parametrize(
    ("granularity_s", "pairs", "expected"),
    [
        pytest.param(1, [(0, 1), (0.1, 10), (1, 1), (3, 1)], {0: 11, 1: 1, 3: 1}, id="a second each"),
        pytest.param(5, [(0, 1), (3, 11), (6, 1)], {0: 12, 5: 1}, id="five seconds each"),
        pytest.param(1, [], {}, id="nothing"),
    ],
)
def test_what_falls_into_one_bucket_is_added_up(granularity_s, pairs, expected):
    assert sums(recorded(AverageBuckets(120, granularity_s), *pairs)) == expected


def test_the_order_of_recording_does_not_matter():
    pairs = [(0, 10), (3, 25), (2, 20), (1, 15), (4, 30)]
    buckets = recorded(AverageBuckets(60), *pairs)
    assert sums(buckets) == dict(pairs)
    assert buckets == recorded(AverageBuckets(60), *sorted(pairs))


FIVE = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize(
    ("pairs", "after_s", "expected"),
    [
        pytest.param([(0, 1)], 0, 1, id="of the first second, not of the whole window"),
        pytest.param(FIVE, 4, 3, id="of the whole window"),
        pytest.param(FIVE, 3.6, 3, id="a clock that lags"),
        pytest.param(FIVE, 6, 4, id="two seconds without a word are left out"),
        pytest.param(FIVE, 8, 5, id="four seconds without a word"),
        pytest.param(FIVE, 9, None, id="a whole window without a word: no data"),
        pytest.param(FIVE, 10, None, id="more than that"),
        pytest.param([*FIVE, (6, 91)], 6, (3 + 4 + 5 + 91) / 5, id="a hole is 0"),
        pytest.param([*FIVE, (60, 1984)], 60, 1984, id="after a window it begins anew"),
        pytest.param([*FIVE, (60, 1984), (57, 4)], 60, (4 + 1984) / 4, id="one that comes late"),
        pytest.param([*FIVE, (60, 1984), (57, 4), (61, 5)], 61, (4 + 1984 + 5) / 5, id="and one more"),
        pytest.param([(57, 4), (60, 1984), (61, 5), (58, 10)], 61, 2003 / 5, id="in the middle"),
        pytest.param([(57, 4), (60, 1984), (61, 5), (55, 10)], 61, 1993 / 5, id="too late: left out"),
        pytest.param([(9 - one, 5) for one in range(9)], 6, 5, id="the newest first"),
        pytest.param([], 0, None, id="nothing: no data"),
        pytest.param([(0, 0)], 0, 0, id="0 is data"),
    ],
)
def test_average_of_five_seconds(pairs, after_s, expected):
    assert average(recorded(AverageBuckets(5), *pairs), after_s) == expected


def test_only_what_is_within_the_window_is_kept():
    buckets = recorded(AverageBuckets(5), *FIVE, (8, 2))
    assert sums(buckets) == {4: 5, 8: 2}
    assert len(recorded(AverageBuckets(60), *[(second, 1) for second in range(1000)]).sums) == 60


def test_averages_are_rounded_down_to_millionths():
    assert average(recorded(AverageBuckets(5), (0, 1), (1, 0), (2, 0)), 2) == 0.333333


def test_a_longer_and_a_shorter_window():
    buckets = recorded(AverageBuckets(5), *FIVE, (5, 6))
    assert average(buckets, 5) == 4
    longer = resized(buckets, window_s=10, now=START + 5)
    assert (longer.count, average(longer, 5)) == (10, 4)
    longer = recorded(longer, (6, 7))
    assert average(longer, 6) == 27 / 6
    shorter = resized(longer, window_s=4, now=START + 6)
    assert sums(shorter) == {3: 4, 4: 5, 5: 6, 6: 7}
    assert average(shorter, 6) == 22 / 4
    assert resized(shorter, window_s=4, now=START + 6) is shorter


def test_buckets_of_three_seconds():
    start = 1_700_000_001.0  # a whole number of three seconds
    values = [(0, 10), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]
    buckets = recorded(AverageBuckets(5, 3), *values, start=start)
    assert list(buckets.sums.values()) == [15, 7]
    longer = recorded(resized(buckets, window_s=10, now=start + 6), (9.3, 42), start=start)
    assert (longer.count, list(longer.sums.values())) == (4, [15, 7, 42])
    shorter = resized(longer, window_s=4, now=start + 9)
    assert (shorter.count, list(shorter.sums.values())) == (2, [7, 42])


def test_a_window_that_began_lately_does_not_count_what_was_before_it_when_resized():
    buckets = recorded(AverageBuckets(5), (0, 6))
    assert average(resized(buckets, window_s=10, now=START), 0) == 6


def test_what_is_too_old_is_not_taken_over():
    old = recorded(AverageBuckets(5), (0, 19.82))
    assert resized(old, window_s=10, now=START + 60) == AverageBuckets(10)
    assert resized(AverageBuckets(5), window_s=10, now=START) == AverageBuckets(10)
