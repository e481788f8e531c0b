"""When probes are due, on a clock that the test holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.health.schedule import Schedule, first_due, next_due, port_retry_delay_s


@pytest.mark.parametrize(
    ("started_at", "delay_s", "is_urgent", "expected"),
    [
        pytest.param(100.0, 0, True, 100.0, id="at once after the start"),
        pytest.param(100.0, 30, True, 130.0, id="the delay counts from the start of the process"),
        pytest.param(80.0, 30, True, 110.0, id="also where the process is older than we"),
        pytest.param(80.0, 30, False, 110.0, id="what is still to come needs no spreading"),
        pytest.param(10.0, 30, True, 100.0, id="an urgent check that is overdue is due now"),
    ],
)
def test_first_due(started_at: float, delay_s: float, is_urgent: bool, expected: float) -> None:
    due = first_due(
        "r/readiness",
        started_at=started_at,
        initial_delay_s=delay_s,
        period_s=10,
        now=100.0,
        is_urgent=is_urgent,
    )
    assert due == expected


def test_checks_of_processes_that_ran_before_us_are_spread_over_one_period() -> None:
    dues = [
        first_due(f"{n}/readiness", started_at=0, initial_delay_s=0, period_s=10, now=1000.0, is_urgent=False)
        for n in range(10_000)
    ]
    per_second = [sum(1000 + s <= due < 1001 + s for due in dues) for s in range(10)]
    assert sum(per_second) == 10_000
    assert max(per_second) < 1_200


@pytest.mark.parametrize(
    ("due_at", "now", "expected"),
    [
        pytest.param(10.0, 10.02, 15.0, id="one period after it was due, not after it ended"),
        pytest.param(10.0, 14.99, 15.0, id="also where it took almost a period"),
        pytest.param(10.0, 15.0, 20.0, id="a tick that is missed is left out"),
        pytest.param(10.0, 1000.0, 1005.0, id="an hour of standing still is not caught up"),
    ],
)
def test_next_due(due_at: float, now: float, expected: float) -> None:
    assert next_due(due_at, period_s=5.0, now=now) == expected


def test_a_closed_port_is_tried_again_ever_more_slowly() -> None:
    delays = [port_retry_delay_s(n) for n in range(100)]
    assert delays[0] == 0.1
    assert delays == sorted(delays)
    assert delays[-1] == 1.0


def test_popping_gives_what_is_due_in_order_and_once() -> None:
    schedule: Schedule[str] = Schedule()
    for key, due_at in [("c", 3.0), ("a", 1.0), ("b", 2.0), ("late", 9.0)]:
        schedule.put(key, due_at)
    assert schedule.pop_due(3.0) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert schedule.pop_due(3.0) == []
    assert schedule.next_at() == 9.0


def test_a_new_time_replaces_the_old_one_and_a_dropped_key_is_gone() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put("a", 1.0)
    schedule.put("a", 5.0)
    schedule.put("b", 2.0)
    schedule.drop("b")
    assert schedule.next_at() == 5.0
    assert schedule.pop_due(4.0) == []
    assert schedule.pop_due(5.0) == [("a", 5.0)]
    assert schedule.next_at() is None


def test_dropped_keys_do_not_pile_up() -> None:
    schedule: Schedule[int] = Schedule()
    for n in range(10_000):
        schedule.put(n, 1e9)
        schedule.drop(n)
    assert len(schedule) == 0
    assert len(schedule._heap) < 200


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 100)), max_size=200), st.floats(0, 100))
def test_the_heap_agrees_with_a_dictionary(puts: list[tuple[int, float]], now: float) -> None:
    schedule: Schedule[int] = Schedule()
    model: dict[int, float] = {}
    for key, due_at in puts:
        schedule.put(key, due_at)
        model[key] = due_at
    due = schedule.pop_due(now)
    assert dict(due) == {key: at for key, at in model.items() if at <= now}
    assert [at for _, at in due] == sorted(at for _, at in due)
    assert len(schedule) == len(model) - len(due)
