"""How many replicas are in force, and why the order of specs and decisions does not matter."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.scaling.in_force import Decided, Scale, bounds_of, in_force, stretch_of
from libs.common.scaling.replicas import Bounds

SCALED = Scale(2, max_replicas=5, stretch_id="a")


@pytest.mark.parametrize(
    ("scale", "decided", "expected"),
    [
        pytest.param(Scale(3), None, 3, id="no autoscaling"),
        pytest.param(Scale(3), Decided(5, "a"), 3, id="no autoscaling, a decision of before"),
        pytest.param(Scale(0), Decided(5, "a"), 0, id="0 replicas"),
        pytest.param(Scale(0, max_replicas=5, stretch_id="a"), Decided(5, "a"), 0, id="0, with autoscaling"),
        pytest.param(Scale(3, is_enabled=False), None, 0, id="disabled"),
        pytest.param(
            Scale(2, is_enabled=False, max_replicas=5, stretch_id="a"),
            Decided(4, "a"),
            0,
            id="disabled, decided",
        ),
        pytest.param(SCALED, None, 2, id="no decision yet"),
        pytest.param(SCALED, Decided(4, "a"), 4, id="decided"),
        pytest.param(Scale(1, max_replicas=5, stretch_id="a"), Decided(4, "a"), 4, id="a floor of one"),
        pytest.param(SCALED, Decided(9, "a"), 5, id="decided above the maximum"),
        pytest.param(SCALED, Decided(1, "a"), 2, id="decided below the floor"),
        pytest.param(SCALED, Decided(0, "a"), 2, id="decided 0"),
        pytest.param(SCALED, Decided(4, "b"), 2, id="decided in another stretch"),
        pytest.param(
            Scale(2, max_replicas=5, is_autoscaling_enabled=False),
            Decided(4, "a"),
            2,
            id="autoscaling is off",
        ),
        pytest.param(
            Scale(4, max_replicas=3, stretch_id="a"), Decided(9, "a"), 4, id="a maximum below the floor"
        ),
    ],
)
def test_in_force(scale, decided, expected):
    assert in_force(scale, decided) == expected
    assert in_force(scale, decided, is_deleted=True) == 0


def test_bounds():
    assert bounds_of(SCALED) == Bounds(2, 5)


@pytest.mark.parametrize(
    ("scale", "before", "stretch"),
    [
        pytest.param(Scale(2, max_replicas=5), None, "new", id="it begins"),
        pytest.param(Scale(2, max_replicas=5), "old", "old", id="it goes on"),
        pytest.param(Scale(2), "old", None, id="no autoscaling any more"),
        pytest.param(Scale(2, max_replicas=5, is_autoscaling_enabled=False), "old", None, id="turned off"),
        pytest.param(Scale(2, is_enabled=False, max_replicas=5), "old", None, id="disabled"),
        pytest.param(Scale(0, max_replicas=5), "old", None, id="stopped"),
    ],
)
def test_stretch_of(scale, before, stretch):
    assert stretch_of(scale, spec_id="new", before=before) == stretch


def test_off_and_on_begins_at_the_floor_whatever_is_still_on_its_way():
    late = Decided(5, "first")
    on = Scale(2, max_replicas=5)
    stretches = [None]
    for spec_id, scale in (("first", on), ("second", on), ("off", Scale(2)), ("again", on)):
        stretches.append(stretch_of(scale, spec_id=spec_id, before=stretches[-1]))
    assert stretches == [None, "first", "first", None, "again"]
    assert in_force(Scale(2, max_replicas=5, stretch_id="again"), late) == 2


@dataclass
class Reader:
    """Someone who takes in specs and decisions one by one, and knows only the newest of each."""

    scale: Scale | None = None
    decided: Decided | None = None

    def take_in(self, what):
        if isinstance(what, Scale):
            self.scale = what
        else:
            self.decided = what


counts = st.integers(0, 9)
stretch_ids = st.sampled_from(["a", "b"])
scales = st.builds(
    Scale,
    replicas=counts,
    is_enabled=st.booleans(),
    max_replicas=st.none() | counts,
    is_autoscaling_enabled=st.booleans(),
    stretch_id=st.none() | stretch_ids,
)


@given(
    specs=st.lists(scales, min_size=1, max_size=5),
    decisions=st.lists(st.builds(Decided, counts, stretch_ids), max_size=5),
    data=st.data(),
)
def test_every_interleaving_of_specs_and_decisions_ends_with_the_same_number(specs, decisions, data):
    reader = Reader()
    waiting = [list(specs), list(decisions)]
    while any(waiting):
        queue = data.draw(st.sampled_from([queue for queue in waiting if queue]))
        reader.take_in(queue.pop(0))
    expected = in_force(specs[-1], decisions[-1] if decisions else None)
    assert in_force(reader.scale, reader.decided) == expected


@given(scale=scales, decided=st.none() | st.builds(Decided, st.integers(-5, 50), stretch_ids))
def test_the_number_is_0_or_within_the_bounds(scale, decided):
    number = in_force(scale, decided)
    assert number == 0 or bounds_of(scale).minimum <= number <= bounds_of(scale).maximum
