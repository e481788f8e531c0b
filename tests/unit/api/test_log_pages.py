"""What a cluster has and what was kept of it are one log: each line once, in order, in pages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.cluster.abilities import LOCAL
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import LogLine, LogPage, UnreadableLog
from libs.common.errors import LogUnavailable
from libs.common.tails.port import MemoryTails
from libs.common.tails.tail import Tail, TailLine
from services.api.edge.log_pages import CLOCKS_DIFFER, merge, read_log_page

AT = datetime(2026, 1, 1, tzinfo=UTC)


def line(number: int, replica_id: str) -> LogLine:
    return LogLine(f"{number:04d}", replica_id, f"line {number}", AT + timedelta(seconds=number))


def tail(replica_id: str, *numbers: int, problem: str = "") -> Tail:
    lines = (line(number, replica_id) for number in numbers)
    return Tail(replica_id, tuple(TailLine(one.id, one.message, one.written_at) for one in lines), problem)


def page_of(numbers, limit, after, *, newest_first):
    """What a cluster gives that has these lines."""
    behind = [
        number
        for number in sorted(numbers, reverse=newest_first)
        if after is None or (f"{number:04d}" < after if newest_first else f"{number:04d}" > after)
    ]
    lines = tuple(line(number, f"r{number % 3}") for number in behind[:limit])
    return LogPage(lines, has_more=len(behind) > limit)


numbers = st.sets(st.integers(0, 200), max_size=40)


@given(numbers, numbers, st.integers(1, 15), st.booleans())
def test_pages_over_both_give_every_line_once_in_order(present, kept, limit, newest_first):
    tails = [tail(f"r{rest}", *sorted(n for n in kept if n % 3 == rest)) for rest in range(3)]
    found, after = [], None
    while True:
        page = page_of(present, limit, after, newest_first=newest_first)
        page = merge(page, tails, limit=limit, after=after, newest_first=newest_first)
        assert len(page.lines) == limit or not page.has_more
        found += page.lines
        if not page.has_more:
            break
        after = page.lines[-1].id
    assert found == [line(n, f"r{n % 3}") for n in sorted(present | kept, reverse=newest_first)]


def test_a_problem_is_told_once_and_not_of_what_can_be_read():
    kept = [tail("gone", problem="its node a does not answer"), tail("back", problem="its node b ...")]
    kept.append(tail("silent", problem="its node c did not answer"))
    page = LogPage(unreadable=(UnreadableLog("silent", "now"),), read=frozenset({"back"}))
    merged = merge(page, kept, limit=9, after=None, newest_first=False)
    assert merged.unreadable == (
        UnreadableLog("silent", "now"),
        UnreadableLog("gone", "its node a does not answer"),
    )


class CountedTails(MemoryTails):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[datetime | None] = []
        self.is_away = False

    async def read(self, deployment_id, *, since=None):
        self.asked.append(since)
        if self.is_away:
            raise LogUnavailable("no answer")
        return await super().read(deployment_id, since=since)


class DatedCluster(MemoryCluster):
    """Its ids say when."""

    async def logs(self, deployment_id, *, after=None, **how):
        page = await super().logs(deployment_id, after=after, **how)
        return page if after is None else replace(page, after_at=AT)


async def read(cluster, tails, **how):
    how = {"limit": 9, "replica_id": None, "after": None, "newest_first": False} | how
    return await read_log_page(cluster, tails, "d", **how)


@pytest.fixture
def tails():
    return CountedTails()


@pytest.fixture
def cluster():
    return DatedCluster(lambda: AT, replace(LOCAL, keeps_last_words=False))


async def test_who_follows_reads_only_what_was_kept_lately(cluster, tails):
    await read(cluster, tails)
    await read(cluster, tails, after="0001")
    await read(cluster, tails, after="0001", newest_first=True)
    assert tails.asked == [None, AT - CLOCKS_DIFFER, None]


async def test_a_cluster_that_keeps_them_itself_is_asked_alone(tails):
    await read(MemoryCluster(lambda: AT), tails)
    assert tails.asked == []


async def test_of_one_replica_only(cluster, tails):
    await tails.keep("d", tail("a", 1))
    await tails.keep("d", tail("b", 2, problem="why"))
    page = await read(cluster, tails, replica_id="a")
    assert [one.message for one in page.lines] == ["line 1"]
    assert page.unreadable == ()


async def test_a_broker_that_is_away_hides_no_line_of_the_cluster(cluster, tails):
    tails.is_away = True
    page = await read(cluster, tails)
    assert [one.replica_id for one in page.unreadable] == [None]
    assert "no answer" in page.unreadable[0].message
