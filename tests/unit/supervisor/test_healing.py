import pytest

from libs.common.disk import MIB, Room
from libs.supervisor.healing import Healing

FULL, ROOMY = Room(0, 100 * MIB), Room(50 * MIB, 100 * MIB)
COMPLAINT = "stream EVENTS write error: no space left on device"


@pytest.mark.parametrize(
    ("state", "complaint", "room", "now", "expected"),
    [
        pytest.param(Healing(), "", ROOMY, 0, (False, Healing()), id="all is well"),
        pytest.param(Healing(), COMPLAINT, ROOMY, 0, (False, Healing(1)), id="seen once"),
        pytest.param(Healing(1), COMPLAINT, ROOMY, 2, (True, Healing(0, 1, 2)), id="seen twice"),
        pytest.param(Healing(9), COMPLAINT, FULL, 2, (False, Healing(10)), id="never without room"),
        pytest.param(Healing(1), "", ROOMY, 2, (False, Healing()), id="it was only starting"),
        pytest.param(
            Healing(1, 1, 100), COMPLAINT, ROOMY, 109, (False, Healing(2, 1, 100)), id="just restarted"
        ),
        pytest.param(Healing(1, 1, 100), COMPLAINT, ROOMY, 110, (True, Healing(0, 2, 110)), id="after 10 s"),
        pytest.param(
            Healing(1, 2, 100), COMPLAINT, ROOMY, 119, (False, Healing(2, 2, 100)), id="20 s the second time"
        ),
        pytest.param(Healing(1, 99, 0), COMPLAINT, ROOMY, 300, (True, Healing(0, 100, 300)), id="5 minutes"),
        pytest.param(Healing(0, 3, 0), "", ROOMY, 59, (False, Healing(0, 3, 0)), id="not yet sound"),
        pytest.param(Healing(0, 3, 0), "", ROOMY, 60, (False, Healing()), id="sound for a minute"),
    ],
)
def test_when_it_is_started_again(state, complaint, room, now, expected):
    assert state.checked(complaint, room, now=now) == expected
