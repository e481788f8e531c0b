"""Lines of the containers' logs: each with an id that never changes, which orders all of them."""

import tracemalloc
from datetime import UTC, datetime

import pytest

from libs.common.cluster.kubernetes.logs import LONGEST_LINE, Parser, check_id, second_of, since
from libs.common.errors import BadRequest
from tests.support.kubelet_logs import parse_lines

ONE = b"""2026-01-01T00:00:01.5Z first
2026-01-01T00:00:03Z third
2026-01-01T00:00:03Z and more at the same time
"""
TWO = b"2026-01-01T00:00:02.000000001Z second\nthe rest of a line\n2026-01-01T00:00:04.123456789Z \n"


def all_lines():
    return sorted([*parse_lines("one", ONE), *parse_lines("two", TWO)], key=lambda line: line.id)


def messages(lines):
    return [line.message for line in lines]


def test_their_ids_order_them_by_their_own_times():
    lines = all_lines()
    assert messages(lines) == ["first", "second", "third", "and more at the same time", ""]
    assert [line.replica_id for line in lines] == ["one", "two", "one", "one", "two"]
    assert lines[0].written_at == datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert len({line.id for line in lines}) == 5


@pytest.mark.parametrize("position", range(5))
def test_an_id_says_since_when_to_read(position):
    after = all_lines()[position].id
    check_id(after)
    assert since(second_of(after)) == f"2026-01-01T00:00:0{after[18]}Z"


def test_an_id_is_the_same_when_only_the_end_is_read():
    whole = parse_lines("one", ONE)
    assert parse_lines("one", ONE[ONE.index(b"2026-01-01T00:00:03Z") :]) == whole[1:]


@pytest.mark.parametrize("size", [1, 2, 7, 1_000])
def test_lines_are_the_same_however_they_come_in(size):
    parser = Parser("one")
    lines = [line for at in range(0, len(ONE), size) for line in parser.take(ONE[at : at + size])]
    assert [*lines, *parser.end()] == parse_lines("one", ONE)


def test_of_a_line_no_more_is_held_than_is_shown():
    stamp = b"2026-01-01T00:00:01.000000000Z "
    parser = Parser("one")
    tracemalloc.start()
    try:
        assert parser.take(stamp) == []
        for _ in range(100):
            assert parser.take(b"x" * 100_000) == []
        assert tracemalloc.get_traced_memory()[0] < 4 * LONGEST_LINE
    finally:
        tracemalloc.stop()
    long, after = parser.take(b"y\n2026-01-01T00:00:02Z after\n")
    assert long.message == "x" * (LONGEST_LINE - len(stamp))
    assert after.message == "after"


def test_the_times_of_a_node_in_another_zone_are_brought_into_utc():
    """A runtime writes the time as its node's zone has it."""
    (line,) = parse_lines("one", b"2026-01-01T01:30:00.000000007+02:00 east\n")
    assert line.id.startswith("2025-12-31T23:30:00.000000007Z-one-")
    assert line.written_at == datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    (west,) = parse_lines("one", b"2025-12-31T20:30:00.5-03:00 west\n")
    assert west.id.startswith("2025-12-31T23:30:00.500000000Z-one-")


@pytest.mark.parametrize(
    "after",
    ["", "yesterday", "2026-01-01T00:00:01Z", "0000000001", "2026-99-01T00:00:01.000000000Z-a-000000"],
)
def test_what_is_no_id_is_refused(after):
    with pytest.raises(BadRequest):
        check_id(after)
