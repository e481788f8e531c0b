import pytest

from libs.supervisor.restarts import Restarts


@pytest.mark.parametrize(
    ("lives_s", "delays_s"),
    [
        pytest.param([0.0], [0.2], id="the first end is followed almost at once"),
        pytest.param([0.1] * 8, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0], id="doubles up to ten seconds"),
        pytest.param([1, 1, 1, 30.0, 1], [0.2, 0.4, 0.8, 0.2, 0.4], id="a settled life starts it over"),
        pytest.param([29.9, 29.9], [0.2, 0.4], id="a shorter life does not"),
        pytest.param([0.0] * 5000, [*(0.2 * 2**n for n in range(6)), *[10.0] * 4994], id="for ever"),
    ],
)
def test_delays(lives_s, delays_s):
    restarts, seen = Restarts(), []
    for lived_s in lives_s:
        delay_s, restarts = restarts.ended(lived_s=lived_s)
        seen.append(delay_s)
    assert seen == pytest.approx(delays_s)
