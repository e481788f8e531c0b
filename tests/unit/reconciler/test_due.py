"""When deployments are compared."""

import math

from services.reconciler.due import Due


def test_what_is_due_is_taken_once() -> None:
    due = Due()
    due.now(["a"])
    due.at("b", 5.0)
    assert due.take(1.0) == ["a"]
    assert (due.take(4.9), due.next_at()) == ([], 5.0)
    assert (due.take(5.0), due.next_at()) == (["b"], math.inf)


def test_the_earliest_time_counts() -> None:
    due = Due()
    due.at("a", 5.0)
    due.at("a", 3.0)
    due.at("a", 9.0)
    assert due.next_at() == 3.0
    due.now(["a"])
    assert due.take(0.0) == ["a"]


def test_nobody_is_due_before_its_rest_is_over() -> None:
    due = Due()
    due.rest("a", 2.0)
    due.now(["a", "b"])
    assert due.take(1.0) == ["b"]
    assert due.next_at() == 2.0
    assert due.take(2.0) == ["a"]
    due.now(["a"])
    assert due.take(2.1) == ["a"]
