"""What machine types cost."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.machine_types.catalogue import catalogue
from libs.common.machine_types.pricing import cost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def types(price):
    return catalogue([{"name": "small", "cpus": 1, "memoryGib": 1, "pricePerHour": price}])


def prices(price):
    found, issues = types(price)
    assert issues == []
    return found["small"].price_per_hour


def test_one_number_is_the_price_at_all_times():
    assert cost(prices(2), NOON, NOON + HOUR) == 2
    assert cost(prices(0.5), datetime(1990, 1, 1, tzinfo=UTC), datetime(1990, 1, 1, 4, tzinfo=UTC)) == 2
    assert cost(prices(0), NOON, NOON + HOUR) == 0


def test_the_past_keeps_its_price():
    found = prices(
        [
            {"from": "2026-03-01T00:00:00Z", "price": 1},
            {"from": "2026-03-01T13:00:00+00:00", "price": 4},
        ]
    )
    assert cost(found, NOON, NOON + HOUR) == 1
    assert cost(found, NOON, NOON + 2 * HOUR) == 5
    assert cost(found, NOON + HOUR, NOON + 2 * HOUR) == 4


def test_before_its_first_price_and_without_any_nothing_is_known():
    found = prices([{"from": "2026-03-01T12:30:00Z", "price": 1}])
    assert cost(found, NOON, NOON + HOUR) is None
    assert cost(found, NOON + HOUR, NOON + 2 * HOUR) == 1
    assert cost(None, NOON, NOON + HOUR) is None


@pytest.mark.parametrize(
    "day", ["2026-03-01", datetime(2026, 3, 1, tzinfo=UTC).date(), "2026-03-01T01:00:00+01:00"]
)
def test_a_day_and_another_offset_are_times_too(day):
    (priced,) = prices([{"from": day, "price": 1}])
    assert priced.from_ == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        (-1, ("pricePerHour",), "is no price"),
        (float("nan"), ("pricePerHour",), "is no price"),
        (float("inf"), ("pricePerHour",), "is no price"),
        ("1", ("pricePerHour",), "is no price"),
        (True, ("pricePerHour",), "is no price"),
        (1_000_001, ("pricePerHour",), "is no price"),
        ([], ("pricePerHour",), "must not be empty"),
        ([{"price": 1}], ("pricePerHour", 0, "from"), "is required"),
        ([{"from": "2026-03-01"}], ("pricePerHour", 0, "price"), "is required"),
        ([{"from": "soon", "price": 1}], ("pricePerHour", 0, "from"), "must be a time"),
        ([{"from": "2026-03-01T00:00:00", "price": 1}], ("pricePerHour", 0, "from"), "must be a time"),
        ([{"from": datetime(2026, 3, 1), "price": 1}], ("pricePerHour", 0, "from"), "must be a time"),  # noqa: DTZ001 - as it may be written
        ([{"from": "2026-03-01", "price": -1}], ("pricePerHour", 0, "price"), "must be at least 0.0"),
        ([{"from": "2026-03-01", "price": 1, "to": 1}], ("pricePerHour", 0, "to"), "is not a known field"),
        (
            [{"from": "2026-03-02", "price": 1}, {"from": "2026-03-02", "price": 2}],
            ("pricePerHour", 1, "from"),
            "is not later than the one before",
        ),
    ],
)
def test_a_wrong_price_is_named(wrong, path, message):
    _, issues = types(wrong)
    assert [(issue.path, issue.message) for issue in issues] == [((0, *path), message)]
