"""What people read of a trial, and which files and times they may give."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.cli.errors import VALIDATION, CommandFailed
from libs.cli.instants import instant, since
from libs.cli.whatif import block_of, picture, show_trial

NOW = datetime(2026, 1, 8, 12, tzinfo=UTC)
BEGIN, END = "2026-01-08T11:00:00.000000Z", "2026-01-08T12:00:00.000000Z"
SERIES = [
    {"timestamp": BEGIN, "actual": 1, "proposed": 4},
    {"timestamp": "2026-01-08T11:30:00.000000Z", "actual": 8, "proposed": 4},
]


def side(**changes) -> dict:
    return {
        "replicaHours": 4.5,
        "cost": None,
        "changes": 1,
        "peak": 8,
        "minutesAboveTarget": 3,
        **changes,
    }


def test_both_sides_are_a_table_and_a_picture(capsys):
    show_trial(
        {
            "from": BEGIN,
            "to": END,
            "recordedFrom": BEGIN,
            "resolutionSeconds": 60.0,
            "assumptions": ["a new replica is ready at once"],
            "actual": side(),
            "proposed": side(peak=4),
            "unpriced": ["C4"],
            "series": SERIES,
        }
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["replica-hours", "4.5", "4.5"]
    assert "cost                  -" in lines[2]
    assert lines[6].startswith("cost unknown: C4 has no pricePerHour in that time; ")
    pictures = [line.split()[1] for line in lines if line.startswith(("actual", "proposed"))]
    assert pictures == ["▁" * 30 + "█" * 30, "▄" * 60]
    assert "looked at every 60 s" in lines
    assert "assumed: a new replica is ready at once" in lines


def test_a_short_time_costs_something_too(capsys):
    small = side(replicaHours=0.00417, cost=0.0063)
    found = {"from": BEGIN, "to": END, "recordedFrom": BEGIN, "resolutionSeconds": 15.0, "assumptions": []}
    show_trial({**found, "actual": small, "proposed": small, "unpriced": [], "series": SERIES})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["replica-hours", "0.0042", "0.0042"],
        ["cost", "0.0063", "0.0063"],
    ]


def test_a_short_time_has_a_bar_for_each_minute():
    end = "2026-01-08T11:03:00.000000Z"
    series = [{"timestamp": BEGIN, "actual": 0}, {"timestamp": "2026-01-08T11:01:00.000000Z", "actual": 2}]
    assert picture(series, "actual", BEGIN, end, 2) == " ██"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", "2026-01-01T12:00:00.000000Z"),
        ("90m", "2026-01-08T10:30:00.000000Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000000Z"),
    ],
)
def test_since_is_a_length_or_a_time(text, moment):
    assert since(text, now=NOW) == moment


@pytest.mark.parametrize("text", ["7", "7y", "d", "yesterday", ""])
def test_what_is_neither_is_refused_with_what_would_be_right(text):
    with pytest.raises(CommandFailed, match="7d"):
        since(text, now=NOW)


@pytest.mark.parametrize("text", ["999999d", "999999w", "0001-01-01T00:00+10:00", "9999-12-31T23:59-10:00"])
def test_a_time_that_no_calendar_has_is_refused(text):
    with pytest.raises(CommandFailed, match=r"--since: .* is no time of the years 1 to 9999") as refused:
        since(text, now=NOW)
    assert refused.value.status == VALIDATION


def test_nor_is_the_edge_of_the_calendar_a_local_time():
    with pytest.raises(CommandFailed, match=r"--at: .* is no time of the years 1 to 9999") as refused:
        instant("0001-01-01")
    assert refused.value.status == VALIDATION


BLOCK = {"maxReplicas": 5, "concurrency": {}}


@pytest.mark.parametrize("content", [BLOCK, {"autoscaling": BLOCK}, {"resources": {"autoscaling": BLOCK}}])
def test_the_block_is_found_where_it_is_written(content):
    assert block_of(content, Path("policy.yaml")) == BLOCK


@pytest.mark.parametrize("content", [{"resources": {}}, {"autoscaling": []}, {"resources": 1}])
def test_a_file_without_one_is_refused(content):
    with pytest.raises(CommandFailed, match="no `autoscaling` block"):
        block_of(content, Path("policy.yaml"))
