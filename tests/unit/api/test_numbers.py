"""The number in force over time, from what was said."""

from datetime import UTC, datetime

from libs.common.scaling.in_force import Decided, Scale
from services.api.readmodels.numbers import Said, Step, steps_between

SCALED = Scale(1, max_replicas=9, stretch_id="s1")


def said(*facts: tuple[float, Scale | int]) -> list[Said]:
    return [
        Said(sequence, datetime.fromtimestamp(at, UTC), scale=what)
        if isinstance(what, Scale)
        else Said(sequence, datetime.fromtimestamp(at, UTC), decided=Decided(what, "s1"))
        for sequence, (at, what) in enumerate(facts, 1)
    ]


def test_the_first_number_is_what_was_in_force_and_each_change_is_there():
    found = said((10, SCALED), (20, 3), (101, 4), (101.5, 3), (102, 3), (200, 5), (200.1, 6))
    assert steps_between(list(reversed(found)), 100, 200) == [
        Step(100, 3),
        Step(101, 4),
        Step(101.5, 3),
        Step(200, 5),
    ]


def test_before_any_spec_there_is_no_number():
    assert steps_between([], 100, 200) == [Step(100, None)]
    assert steps_between(said((150, SCALED)), 100, 200) == [Step(100, None), Step(150, 1)]


def test_several_changes_of_one_time_are_each_there():
    found = said((10, SCALED), (150, 2), (150, 3))
    assert steps_between(found, 100, 200) == [Step(100, 1), Step(150, 2), Step(150, 3)]
