"""The highest value within a window of buckets; the published stories."""

import pytest

from libs.common.scaling.window_maximum import MaximumBuckets, record_maximum, window_maximum

START = 1_700_000_000.0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1], [1], id="one"),
        pytest.param([1, 2], [1, 2], id="up"),
        pytest.param([2, 1], [2, 2], id="down"),
        pytest.param([1, 2, 1], [1, 2, 2], id="up and down"),
        pytest.param([5, 6, 5, 5, 5, 5, 5], [5, 6, 6, 6, 6, 6, 5], id="the highest goes out"),
        pytest.param([5, 6, 5, 7, 5, 5, 1], [5, 6, 6, 7, 7, 7, 7], id="a higher one comes"),
        pytest.param([5, 8, 5, 7, 5, 5], [5, 8, 8, 8, 8, 8], id="a lower one comes"),
        pytest.param(
            [5, 8, 5, 7, 5, 5, 1, 4, 4, 4, 4, 9, 3, 4, 2, 1, 0],
            [5, 8, 8, 8, 8, 8, 7, 7, 5, 5, 4, 9, 9, 9, 9, 9, 4],
            id="many",
        ),
    ],
)
def test_one_value_a_second_for_five_seconds(values, expected):
    buckets = MaximumBuckets(5)
    found = []
    for second, value in enumerate(values):
        buckets = record_maximum(buckets, at=START + second, value=value)
        found.append(window_maximum(buckets, now=START + second))
    assert found == expected
    assert len(buckets.highest) <= 5


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param([(0, 5)], 5, id="one"),
        pytest.param([(0, 6), (0.5, 5)], 6, id="two in one second"),
        pytest.param([(0, 5), (0.5, 6)], 6, id="two in one second, the higher last"),
        pytest.param([(0, 5), (1, 8)], 8, id="two"),
        pytest.param([(0, 5), (6, 4)], 4, id="a gap"),
        pytest.param([(0, 6), (1, 5), (2, 2), (6, 1)], 2, id="a gap after many"),
        pytest.param([(6, 4), (0, 9)], 4, id="one that comes too late"),
        pytest.param([(6, 4), (3, 9)], 9, id="one that comes late"),
    ],
)
def test_the_newest_sees(pairs, expected):
    buckets = MaximumBuckets(5)
    for after_s, value in pairs:
        buckets = record_maximum(buckets, at=START + after_s, value=value)
    assert window_maximum(buckets, now=START + max(after_s for after_s, _ in pairs)) == expected


def test_no_data():
    assert window_maximum(MaximumBuckets(5), now=START) is None
    buckets = record_maximum(MaximumBuckets(5), at=START, value=3)
    assert window_maximum(buckets, now=START + 4.9) == 3
    assert window_maximum(buckets, now=START + 5) is None


def test_a_load_that_stays_is_remembered_by_one_value():
    buckets = MaximumBuckets(900, 2)
    for second in range(2000):
        buckets = record_maximum(buckets, at=START + second, value=7)
    assert len(buckets.highest) == 1


def test_a_window_is_a_whole_number_of_buckets():
    buckets = record_maximum(MaximumBuckets(5, 2), at=START, value=9)
    assert buckets.count == 3
    assert window_maximum(buckets, now=START + 5.9) == 9
    assert window_maximum(buckets, now=START + 6) is None


def test_a_load_that_falls_is_remembered_as_far_as_the_window_goes():
    buckets = MaximumBuckets(5)
    for second in range(100):
        buckets = record_maximum(buckets, at=START + second, value=1000 - second)
    assert sorted(buckets.highest.values()) == [901, 902, 903, 904, 905]
