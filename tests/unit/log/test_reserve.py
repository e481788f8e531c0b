import pytest

from libs.common.disk import MIB, Room
from libs.common.log.reserve import Step, next_step, shortage

SIZE = 64 * MIB


def room(mib: float) -> Room:
    return Room(int(mib * MIB), 1000 * MIB)


@pytest.mark.parametrize(
    ("free", "is_held", "expected"),
    [
        pytest.param(16, True, Step.HOLD, id="enough"),
        pytest.param(15.9, True, Step.GIVE_FREE, id="below a quarter of it"),
        pytest.param(79.9, False, Step.HOLD, id="right after it was given free"),
        pytest.param(96, False, Step.TAKE, id="room for it and half as much again"),
        pytest.param(95.9, False, Step.HOLD, id="not yet"),
    ],
)
def test_when_it_is_taken_and_given_free(free, is_held, expected):
    assert next_step(room(free), size=SIZE, is_held=is_held) == expected


def test_without_one_nothing_is_taken():
    assert next_step(room(999), size=0, is_held=False) == Step.HOLD


@pytest.mark.parametrize(
    ("free", "size", "is_held", "says"),
    [
        pytest.param(16, SIZE, True, "", id="enough"),
        pytest.param(15, SIZE, True, "is full: 15.0 of 1000.0 MiB free", id="about to be given free"),
        pytest.param(80, SIZE, False, "is nearly full: 80.0 of", id="given free"),
        pytest.param(999, SIZE, False, "until 96.0 MiB are free", id="not yet taken again"),
        pytest.param(1, 0, False, "", id="without a reserve there is no mark"),
        pytest.param(0, 0, False, "is full: 0.0 of", id="but an end"),
    ],
)
def test_why_nothing_new_is_accepted(free, size, is_held, says):
    said = shortage(room(free), size=size, is_held=is_held)
    assert (said == "") == (says == "")
    assert says in said
