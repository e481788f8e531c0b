"""Lines of the containers' logs: in order over all replicas, each with an id that never changes."""

from datetime import UTC, datetime

import pytest

from libs.common.cluster.kubernetes.logs import check_id, merge, parse_lines, since_of
from libs.common.errors import BadRequest

ONE = b"""2026-01-01T00:00:01.5Z first
2026-01-01T00:00:03Z third
2026-01-01T00:00:03Z and more at the same time
"""
TWO = b"2026-01-01T00:00:02.000000001Z second\nthe rest of a line\n2026-01-01T00:00:04.123456789Z \n"


def all_lines():
    return [*parse_lines("one", ONE), *parse_lines("two", TWO)]


def messages(lines):
    return [line.message for line in lines]


def test_they_are_merged_by_their_own_times():
    merged = merge(all_lines(), after=None, newest_first=False)
    assert messages(merged) == ["first", "second", "third", "and more at the same time", ""]
    assert [line.replica_id for line in merged] == ["one", "two", "one", "one", "two"]
    assert merged[0].written_at == datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    assert [line.id for line in merged] == sorted({line.id for line in merged})
    assert merge(all_lines(), after=None, newest_first=True) == merged[::-1]


@pytest.mark.parametrize("position", range(5))
def test_they_go_on_after_any_line_in_either_order(position):
    merged = merge(all_lines(), after=None, newest_first=False)
    after = merged[position].id
    check_id(after)
    assert since_of(after) == f"2026-01-01T00:00:0{after[18]}Z"
    assert merge(all_lines(), after=after, newest_first=False) == merged[position + 1 :]
    assert merge(all_lines(), after=after, newest_first=True) == merged[:position][::-1]


def test_an_id_is_the_same_when_only_the_end_is_read():
    whole = list(parse_lines("one", ONE))
    assert list(parse_lines("one", ONE[ONE.index(b"2026-01-01T00:00:03Z") :])) == whole[1:]


@pytest.mark.parametrize("after", ["", "yesterday", "2026-01-01T00:00:01Z", "0000000001"])
def test_what_is_no_id_is_refused(after):
    with pytest.raises(BadRequest):
        check_id(after)
