"""Times as RFC 3339 spells them."""

from datetime import UTC, datetime

import pytest

from services.api.readmodels.past import parse_time

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("2026-01-31T12:00:00Z", NOON, id="UTC"),
        pytest.param("2026-01-31t12:00:00z", NOON, id="lower case"),
        pytest.param("2026-01-31T13:00:00+01:00", NOON, id="an offset"),
        pytest.param(
            "2026-01-31T13:00:00 01:00", NOON, id="an offset whose plus a query turned into a space"
        ),
        pytest.param("2026-01-31T12:00:00.5Z", NOON.replace(microsecond=500000), id="one digit of a second"),
        pytest.param(
            "2026-01-31T12:00:00.123456789Z", NOON.replace(microsecond=123456), id="nanoseconds, cut"
        ),
        pytest.param("2026-01-31T12:00:00", None, id="no zone"),
        pytest.param("2026-01-31", None, id="a day"),
        pytest.param("2026-02-30T12:00:00Z", None, id="no such day"),
        pytest.param("2026-01-31T25:00:00Z", None, id="no such hour"),
        pytest.param("0001-01-01T00:00:00+23:59", None, id="before the first year"),
        pytest.param("٢٠٢٦-01-31T12:00:00Z", None, id="other digits"),
        pytest.param("now", None, id="a word"),
    ],
)
def test_parse_time(text, expected):
    assert parse_time(text) == expected
