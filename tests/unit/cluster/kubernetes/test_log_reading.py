"""Lines of many containers in one order: exact whatever is asked, and read no further than that takes."""

import asyncio
import math
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.cluster.kubernetes.log_parts import Part
from libs.common.cluster.kubernetes.log_sources import Source, Unread, first_lines, unreadable
from libs.common.cluster.port import last_of
from tests.support.kubelet_logs import ContainerLog, Record, parse_lines, served

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PIECE = 1_000
"""Bytes that come at once."""


def part_of(replica_id: str, log: ContainerLog, *, has_ended: bool = False) -> Part:
    async def read(query, take):
        wrote = log.serve({"timestamps": "true", **query})
        for at in range(0, len(wrote), PIECE):
            take(wrote[at : at + PIECE])

    return Part(read, replica_id, has_ended=has_ended, created_at=BEGIN)


def sources_of(replicas, *, after=None, newest_first=False) -> list[Source]:
    return [
        Source(
            replica_id,
            [part_of(replica_id, log, has_ended=log is not logs[-1]) for log in logs],
            after=after,
            newest_first=newest_first,
        )
        for replica_id, logs in replicas.items()
    ]


def read(replicas, number, *, after=None, newest_first=False):
    sources = sources_of(replicas, after=after, newest_first=newest_first)
    return asyncio.run(first_lines(sources, number, newest_first=newest_first))


def everything(replicas):
    """Each line with its id, by reading it all."""
    found = []
    for replica_id, logs in replicas.items():
        for log in logs:
            wrote = served(log.records, {})
            found += parse_lines(replica_id, wrote, is_whole=log is not logs[-1])
    return sorted(found, key=lambda line: line.id)


def record(micros: int, text: str, *, ends: bool = True) -> Record:
    at = BEGIN + timedelta(microseconds=micros)
    return Record(at.replace(microsecond=0), at.microsecond * 1000, text, ends)


def cost(replicas) -> tuple[int, int]:
    logs = [log for each in replicas.values() for log in each]
    return sum(log.given for log in logs), sum(log.asked for log in logs)


gaps = st.one_of(
    st.just(0),
    st.integers(1, 999),
    st.integers(1_000, 5_000_000),
    st.integers(10**7, 10**10),
)
texts = st.one_of(st.just("a line"), st.just(""), st.text(max_size=30).map(lambda t: t.replace("\n", "")))


@st.composite
def container_logs(draw, begin: int) -> tuple[ContainerLog, int]:
    at = begin
    log = ContainerLog()
    for gap, text, repeat in draw(
        st.lists(st.tuples(gaps, texts, st.sampled_from([1, 1, 1, 40])), max_size=12)
    ):
        for number in range(repeat):
            at += gap if number == 0 else draw(st.sampled_from([0, 1, 700])) if repeat == 1 else 700
            log.write(record(at, text))
    return log, at


@st.composite
def replicas(draw):
    found = {}
    for number in range(draw(st.integers(1, 4))):
        logs, at = [], 0
        for _ in range(draw(st.sampled_from([1, 1, 2]))):
            log, at = draw(container_logs(at + 1))
            logs.append(log)
        found[f"r{number}"] = logs
    return found


@settings(max_examples=25)
@given(replicas(), st.integers(1, 30), st.booleans())
def test_pages_give_every_line_once_in_order(written, limit, newest_first):
    whole = everything(written)[:: -1 if newest_first else 1]
    found, after = [], None
    while True:
        page = read(written, limit + 1, after=after, newest_first=newest_first)
        found += page[:limit]
        if len(page) <= limit:
            break
        after = found[-1].id
    assert found == whole


@given(replicas(), st.data())
def test_a_page_goes_on_after_any_line_while_lines_are_added(written, data):
    whole = everything(written)
    if not whole:
        return
    position = data.draw(st.integers(0, len(whole) - 1))
    newest = max((r.second, r.at_ns) for logs in written.values() for log in logs for r in log.records)
    added_at = int((newest[0] - BEGIN) / timedelta(microseconds=1)) + 2_000_000
    written["r0"][-1].write(
        *(record(added_at + n, f"added {n}") for n in range(data.draw(st.integers(0, 30))))
    )
    after = whole[position].id
    grown = everything(written)
    assert [line for line in grown if line.id <= whole[-1].id] == whole
    number = data.draw(st.integers(1, 40))
    assert read(written, number, after=after) == grown[position + 1 :][:number]
    assert read(written, number, after=after, newest_first=True) == whole[:position][::-1][:number]


def test_pieces_of_a_long_line_are_one_line_whatever_is_read():
    """A runtime writes 16 KiB at a time, each piece with a time of its own."""
    log = ContainerLog()
    for number in range(20):
        log.write(
            record(number * 10_000, "x" * 16_384, ends=False),
            record(number * 10_000 + 1, "y" * 16_384, ends=False),
            record(number * 10_000 + 2, f"end {number}"),
        )
    written = {"r": [log]}
    whole = everything(written)
    assert len(whole) == 20
    for number in (1, 2, 3, 7, 20, 30):
        assert read(written, number, newest_first=True) == whole[::-1][:number]
        assert read(written, number) == whole[:number]
        assert read(written, number, after=whole[11].id, newest_first=True) == whole[:11][::-1][:number]


def test_a_line_that_is_not_ended_yet_waits_until_it_is():
    log = ContainerLog([record(0, "one"), record(1, "half a li", ends=False)])
    for newest_first in (False, True):
        assert [line.message for line in read({"r": [log]}, 9, newest_first=newest_first)] == ["one"]
        ended = read({"r": [log, ContainerLog()]}, 9, newest_first=newest_first)
        assert {line.message for line in ended} == {"one", "half a li"}


def a_year(lines: int, *, every_us: int, offset_us: int = 0) -> ContainerLog:
    return ContainerLog(
        [record(n * every_us + offset_us, "a line of some usual length") for n in range(lines)]
    )


LINE = len("2026-01-01T00:00:00.000000000Z a line of some usual length\n")


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_hundred_lines_cost_the_same_of_a_long_log_wherever_they_are(newest_first):
    costs = {}
    for lines in (2_000, 20_000):
        written = {"r": [a_year(lines, every_us=300_000)]}
        whole = everything(written)
        for part in (None, 0.1, 0.5, 0.9):
            after = None if part is None else whole[int(lines * part)].id
            before = cost(written)[0]
            page = read(written, 101, after=after, newest_first=newest_first)
            assert len(page) == 101
            costs[lines, part] = cost(written)[0] - before
    assert max(costs.values()) < 101 * LINE * 20, costs
    for part in (None, 0.1, 0.5, 0.9):
        assert costs[20_000, part] <= costs[2_000, part] * 2 + 101 * LINE * 4, costs


def test_a_whole_log_read_by_pages_costs_a_few_times_itself():
    written = {"r": [a_year(4_000, every_us=50_000)]}
    for newest_first in (False, True):
        before, after, seen = cost(written)[0], None, 0
        while page := read(written, 200, after=after, newest_first=newest_first):
            seen, after = seen + len(page), page[-1].id
        assert seen == 4_000
        assert cost(written)[0] - before < 4_000 * LINE * 8


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_hundred_lines_of_a_thousand_replicas(newest_first):
    """Each has to be asked, since the newest line may be anywhere; none is asked for more than a few."""
    written = {f"r{n:04d}": [a_year(40, every_us=1_000_000, offset_us=n * 37)] for n in range(1_000)}
    page = read(written, 101, newest_first=newest_first)
    assert page == everything(written)[:: -1 if newest_first else 1][:101]
    given, asked = cost(written)
    assert asked <= 1_200
    # The API server gives first lines by bytes: of each what one small request has.
    assert given <= 1_000 * (10 * LINE if newest_first else 4_096) + 101 * LINE * 20


def test_lines_of_one_busy_replica_among_a_thousand_quiet_ones():
    written = {f"r{n:04d}": [a_year(20, every_us=10_000_000)] for n in range(1_000)}
    written["busy"] = [a_year(50_000, every_us=10_000)]
    page = read(written, 101, newest_first=True)
    assert {line.replica_id for line in page} == {"busy"}
    given, asked = cost(written)
    assert asked <= 1_000 + math.log2(101) + 2
    assert given <= 1_000 * 10 * LINE + 101 * LINE * 20


@given(container_logs(0), st.sampled_from([100, 300, 3_000]), st.booleans())
def test_the_end_of_a_log_is_as_much_as_has_room(written, most_bytes, has_ended):
    log, _ = written
    whole = parse_lines("r", served(log.records, {}), is_whole=has_ended)
    end = asyncio.run(part_of("r", log, has_ended=has_ended).end(most_bytes))
    assert end == whole[len(whole) - len(end) :]
    assert last_of(end, most_bytes) == last_of(whole, most_bytes)


def test_the_end_of_a_log_is_held_in_bounded_room_however_long_the_lines_before_it_are():
    """Short lines in the end make more be asked for, which has long ones."""
    records = [record(number, "x" * 16_000) for number in range(900)]
    records += [record(10_000 + number, "end") for number in range(100)]
    whole = parse_lines("r", served(records, {}))

    async def read(query, take):
        for one in records[-int(query["tailLines"]) :]:
            take(served([one], {}))

    part = Part(read, "r", has_ended=False, created_at=BEGIN)
    tracemalloc.start()
    try:
        end = asyncio.run(part.end(65_536))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert last_of(end, 65_536) == last_of(whole, 65_536)
    assert most < 1_000_000


def test_one_that_cannot_be_read_hides_no_other():
    async def fail(_query, _take):
        raise Unread("its node n does not answer")

    bad = Source("bad", [Part(fail, "bad", has_ended=False, created_at=BEGIN)], after=None, newest_first=True)
    (good,) = sources_of({"good": [a_year(5, every_us=1)]}, newest_first=True)
    lines = asyncio.run(first_lines([bad, good], 9, newest_first=True))
    assert len(lines) == 5
    assert [(one.replica_id, one.message) for one in unreadable([bad, good])] == [
        ("bad", "its node n does not answer")
    ]


def test_nothing_is_read_where_there_is_nobody():
    assert asyncio.run(first_lines([], 9, newest_first=True)) == []
