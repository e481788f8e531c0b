"""The kubelet's back-off."""

import pytest

from libs.common.cluster.local.shim.back_off import next_back_off_s


@pytest.mark.parametrize(
    ("previous_s", "ran_s", "expected"),
    [
        pytest.param(None, 0, 0, id="the first restart is at once"),
        pytest.param(0, 1, 10, id="the second waits 10 s"),
        pytest.param(10, 599, 20, id="then it doubles"),
        pytest.param(160, 1, 300, id="up to 300 s"),
        pytest.param(300, 1, 300, id="and stays there"),
        pytest.param(300, 600, 0, id="ten minutes of running and it begins again"),
    ],
)
def test_next_back_off(previous_s, ran_s, expected):
    assert next_back_off_s(previous_s, ran_s) == expected


def test_a_replica_that_always_crashes_waits_as_the_kubelet_makes_it_wait():
    waits, wait = [], None
    for _ in range(8):
        wait = next_back_off_s(wait, 1)
        waits.append(wait)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
