"""What was measured, as people see it."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.cli.errors import CommandFailed
from libs.cli.instants import since
from libs.cli.metrics import BARS, DURATIONS, METRICS, WIDTH, picture, rows


def points(*values):
    return [{"timestamp": "t", "value": str(value)} for value in values]


def test_a_series_has_its_newest_its_average_and_its_highest_value():
    (row,) = rows({"requests_per_second": points(1, 3, 2)})
    assert row == ("requests_per_second", None, "2 /s", "2 /s", "3 /s", picture([1, 3, 2]))


@pytest.mark.parametrize("metric", sorted(DURATIONS))
@pytest.mark.parametrize(
    ("values", "shown"),
    [
        pytest.param((0, 1, 0, 2, 0), ("2 s", "1.5 s", "2 s"), id="idle steps between, before and after"),
        pytest.param((0, 0), (None, None, None), id="no request at all"),
    ],
)
def test_of_durations_only_the_steps_with_a_request_count(metric, values, shown):
    """The picture keeps all steps: it is drawn along time."""
    (row,) = rows({metric: points(*values)})
    assert row == (metric, None, *shown, picture(values))


def test_idle_steps_count_for_what_is_no_duration():
    ((_, _, *shown, _),) = rows({"requests_per_second": points(0, 4, 0, 0)})
    assert shown == ["0 /s", "1 /s", "4 /s"]


def test_each_replica_and_each_gpu_has_its_line():
    found = {
        "cpu": [
            {"instanceId": "a" * 32, "values": points(50)},
            {"instanceId": "b" * 32, "values": points(7)},
        ],
        "gpu": [{"gpu": "1", "instanceId": "a" * 32, "timestamp": "t", "value": "9"}],
        "memory": [],
    }
    shown = [(metric, replica, last) for metric, replica, last, *_ in rows(found)]
    assert shown == [
        ("cpu", "a" * 12, "50 %"),
        ("cpu", "b" * 12, "7 %"),
        ("gpu", f"{'a' * 12} gpu 1", "9 %"),
    ]


def test_a_picture_goes_from_0_to_the_highest_of_the_newest():
    assert picture([0, 7, 3.5]) == BARS[0] + BARS[7] + BARS[4]
    assert picture([0, 0]) == BARS[0] * 2
    assert len(picture(range(1000))) == WIDTH


def test_every_metric_of_the_api_is_asked_for():
    from services.api.points.timeframes import Metric  # noqa: PLC0415 - of the other side of the wire

    assert set(METRICS) == set(Metric.__args__)


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2026-03-01T11:00:00Z", timedelta(hours=1)),
        ("2026-03-01T12:00:00+01:00", timedelta(hours=1)),
    ],
)
def test_how_far_back(text, ago):
    assert datetime.fromisoformat(since(text, now=NOW)) == NOW - ago


@pytest.mark.parametrize("text", ["", "7", "7y", "-1d", "yesterday", "1.5h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(CommandFailed, match="--since"):
        since(text, now=NOW)
