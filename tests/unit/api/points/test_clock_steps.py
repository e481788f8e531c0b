"""What the clock of the stream, or everybody's, may do while points are collected: no point is lost."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from libs.common import telemetry
from libs.common.metrics.port import CaughtUp, MemorySamples
from libs.common.metrics.samples import Batch, Kind, RequestTotals
from services.api.points import collector
from services.api.points.collector import AHEAD_S, Collector
from services.api.points.store import PointStore
from services.api.points.tables import DEPLOYMENT
from tests.support.polling import eventually

BEGIN = 29_000_000
EACH_S = 15
HOUR_S = 3600.0
WEEKS_S = 16 * 24 * HOUR_S


class Clock:
    """of_stream_s: how far the stream's is ahead of ours."""

    def __init__(self):
        self.now = BEGIN * 60.0
        self.of_stream_s = 0.0

    def __call__(self):
        return datetime.fromtimestamp(self.now, UTC)

    def of_stream(self):
        return datetime.fromtimestamp(self.now + self.of_stream_s, UTC)


class Told(MemorySamples):
    """Tells how far it was read."""

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.read = 0
        self.is_caught_up = False

    async def follow(self, *kinds, since, after=None, only=None):
        async for item in super().follow(*kinds, since=since, after=after, only=only):
            yield item
            # Whoever reads has taken it.
            if isinstance(item, CaughtUp):
                self.is_caught_up = True
            else:
                self.read = item.sequence


class Life:
    """An api that collects, and a source that counts one request in each second."""

    def __init__(self, path):
        self.path = path
        self.clock = Clock()
        self.stream = Told(self.clock.of_stream)
        self.number = 0
        self.store: PointStore

    @asynccontextmanager
    async def collecting(self):
        self.store = store = PointStore(self.path, most_bytes=2**30, clock=self.clock)
        self.stream.is_caught_up = False
        task = asyncio.create_task(Collector(self.stream, store, clock=self.clock).run())
        try:
            await eventually(lambda: self.stream.is_caught_up)
            yield store
        finally:
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            store.close()

    async def minutes(self, how_many):
        """Each sample is read while it is new, and in a minute that is kept before METRICS forgets it."""
        for _ in range(how_many * 60 // EACH_S):
            await self.publish()
            await eventually(lambda: self.stream.read == self.number, every_s=0)
            await eventually(lambda: self.kept() >= self.number - 3 * 60 // EACH_S, every_s=0)

    def kept(self):
        taken = self.store.taken()
        return 0 if taken is None else taken.last.sequence

    async def publish(self):
        self.number += 1
        total = RequestTotals(deployment_id="d", answered=self.number * EACH_S)
        await self.stream.publish(
            Batch(
                kind=Kind.REQUESTS,
                source="edge",
                counter_id="c",
                number=self.number,
                interval_s=EACH_S,
                ended_at=self.clock.now,
                is_whole=self.number % 4 == 1,
                requests=(total,),
            )
        )
        self.clock.now += EACH_S

    async def ended(self):
        """All that was published is in minutes."""
        self.clock.now += 70
        await eventually(lambda: self.kept() == self.number)

    @property
    def requests(self):
        """Those since the first sample."""
        return (self.number - 1) * EACH_S


def recorded(store) -> dict[int, float]:
    (found,) = store.points(DEPLOYMENT, "d", first=0, last=2**40)
    values = {at - BEGIN: values[0] for at, _, values in found.points}
    assert len(values) == len(found.points)
    return values


def by_day(store) -> float:
    return sum(answered for _, answered, *_ in store.requests_by_day("d"))


@pytest.fixture
def life(tmp_path, monkeypatch):
    monkeypatch.setattr(collector, "LOOK_S", 0.001)
    return Life(tmp_path / "points.db")


def set_ours(life, seconds):
    life.clock.now += seconds


def set_the_streams(life, seconds):
    life.clock.of_stream_s += seconds


@pytest.mark.parametrize("has_restart", [False, True])
@pytest.mark.parametrize("step", [set_ours, set_the_streams])
async def test_an_hour_ahead_for_a_moment(life, step, has_restart):
    async with life.collecting() as store:
        await life.minutes(3)
        step(life, HOUR_S)
        await life.minutes(2)
        if not has_restart:
            step(life, -HOUR_S)
            await life.minutes(10)
            await life.ended()
    if has_restart:
        step(life, -HOUR_S)
        async with life.collecting() as store:
            await life.minutes(10)
            await life.ended()
            taken = store.taken()
        # Once more, with nothing new.
        async with life.collecting() as store:
            assert store.taken() == taken
    store = PointStore(life.path, most_bytes=2**30, clock=life.clock)
    found = recorded(store)
    assert list(found) == [0, 1, 2, *range(5, 15), 63, 64]
    assert all(value == 60 for minute, value in found.items() if minute not in {0, 5, 14})
    assert sum(found.values()) == by_day(store) == life.requests
    store.close()


@pytest.mark.parametrize("has_restart", [False, True])
async def test_the_hour_that_was_recorded_ahead_comes_and_is_added(life, has_restart):
    async with life.collecting() as store:
        await life.minutes(3)
        set_ours(life, HOUR_S)
        await life.minutes(2)
        set_ours(life, -HOUR_S)
        await life.minutes(50 if has_restart else 70)
        await life.ended()
    if has_restart:
        life.clock.now -= 70
        async with life.collecting() as store:
            await life.minutes(20)
            await life.ended()
    store = PointStore(life.path, most_bytes=2**30, clock=life.clock)
    found = recorded(store)
    assert list(found) == [0, 1, 2, *range(5, 75)]
    assert {minute for minute, value in found.items() if value > 60} == {63, 64}
    assert sum(found.values()) == by_day(store) == life.requests
    store.close()


@pytest.mark.parametrize("has_restart", [False, True])
@pytest.mark.parametrize("step", [set_ours, set_the_streams])
async def test_an_hour_back_and_forth(life, step, has_restart):
    async with life.collecting() as store:
        await life.minutes(70)
        step(life, -HOUR_S)
        await life.minutes(5)
        if has_restart:
            await life.ended()
    if has_restart:
        life.clock.now -= 70
    async with life.collecting() as store:
        await life.minutes(5)
        step(life, HOUR_S)
        await life.minutes(5)
        await life.ended()
        found = recorded(store)
        assert sum(found.values()) == by_day(store) == life.requests
        assert list(found) == [*range(70), *range(80, 85)]
        # What was counted in it is there twice: by two accounts of one time.
        assert sum(found[minute] for minute in range(10, 20)) == 1200


async def test_a_stream_that_is_an_hour_behind_has_its_minutes_once(life):
    set_the_streams(life, -HOUR_S)
    async with life.collecting() as store:
        await life.minutes(10)
        await life.ended()
        found = recorded(store)
        assert found == {-60: 45.0} | dict.fromkeys(range(-59, -50), 60.0)


@pytest.fixture
def dropped(monkeypatch):
    """How many samples of the future were counted as dropped."""
    found = []

    class Counted:
        def add(self, number, attributes):
            assert attributes == {"reason": "future"}
            found.append(number)

    monkeypatch.setattr(telemetry, "counter", lambda _, **__: Counted())
    return found


async def test_what_is_of_the_far_future_is_dropped_and_takes_no_request_with_it(life, dropped):
    async with life.collecting() as store:
        await life.minutes(3)
        set_the_streams(life, WEEKS_S)
        await life.minutes(1)
        set_the_streams(life, -WEEKS_S)
        await life.minutes(2)
        await life.ended()
        found = recorded(store)
        assert found == {0: 45.0, 1: 60.0, 2: 60.0, 4: 120.0, 5: 60.0}
        assert by_day(store) == life.requests
    assert AHEAD_S > HOUR_S
    assert dropped == [1, 1, 1, 1]


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(life):
    async with life.collecting() as store:
        await life.minutes(3)
        await eventually(lambda: store.last_minute() == BEGIN + 1)
    life.stream = Told(life.clock.of_stream)
    life.stream._stream = "anew"
    life.number = 0
    async with life.collecting() as store:
        await life.minutes(3)
        await life.ended()
        # The third minute was not over when the stream went.
        assert list(recorded(store)) == [0, 1, 3, 4, 5]
