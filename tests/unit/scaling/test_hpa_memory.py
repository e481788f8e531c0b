"""What one decision hands to the next, and what counts where nothing is recorded."""

import pytest

from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.limiting import Change
from libs.common.scaling.stabilising import Recommendation

NOW = 1_000_000.0
CHANGES = (Change(2, NOW - 5),)


def recommended(*pairs):
    return tuple(Recommendation(replicas, NOW - age_s) for replicas, age_s in pairs)


@pytest.mark.parametrize(
    ("recommendations", "kept_s", "expected"),
    [
        pytest.param(None, None, recommended((4, 0)), id="nothing was ever recorded"),
        pytest.param((), None, (), id="it is known that nothing was recommended"),
        pytest.param(recommended((7, 200)), None, recommended((7, 200)), id="everything is kept"),
        pytest.param(recommended((7, 20)), 300, recommended((7, 20)), id="the window is as long as before"),
        pytest.param(recommended((7, 20)), 900, recommended((7, 20)), id="the window is shorter"),
        pytest.param(recommended((7, 20)), 60, recommended((4, 60), (7, 20)), id="the window is longer"),
        pytest.param((), 0, recommended((4, 0)), id="there was no window"),
    ],
)
def test_begun(recommendations, kept_s, expected):
    memory = HpaMemory(recommendations, CHANGES, kept_s).begun(4, window_s=300, now=NOW)
    assert memory == HpaMemory(expected, CHANGES, 300)


@pytest.mark.parametrize(
    ("recommendations", "kept_s", "expected"),
    [
        pytest.param(None, None, None, id="nothing was ever recorded: that counts as much"),
        pytest.param((), 300, recommended((4, 0)), id="the first"),
        pytest.param(recommended((7, 300)), 300, recommended((7, 300), (4, 0)), id="still counts"),
        pytest.param(recommended((7, 300.1), (6, 9)), 300, recommended((6, 9), (4, 0)), id="one is too old"),
        pytest.param(recommended((7, 9999)), None, recommended((7, 9999), (4, 0)), id="everything is kept"),
    ],
)
def test_with_recommended(recommendations, kept_s, expected):
    memory = HpaMemory(recommendations, CHANGES, kept_s).with_recommended(4, now=NOW)
    assert memory == HpaMemory(expected, CHANGES, kept_s)
