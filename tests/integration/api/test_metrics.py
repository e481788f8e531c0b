"""The metrics of a deployment over REST."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from libs.common.clock import utc_now
from libs.common.metrics.port import MemorySamples
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestTotals
from services.api.edge.routes.metrics import RECORDED_FROM
from services.api.points import collector
from services.api.points.collector import Collector
from services.api.points.minutes import DeploymentPoint, GpuPoint, Minute, ReplicaPoint
from services.api.points.store import PointStore
from tests.support.polling import eventually, let_time_pass
from tests.support.rest import a_config

METRICS = (
    "requests_total",
    "cpu",
    "memory",
    "gpu",
    "requests_per_second",
    "requests_duration_seconds_1m",
    "requests_duration_seconds_5m",
)


def this_minute() -> int:
    return int(utc_now().timestamp()) // 60


def put(api, deployment_id, *, ago: int, answered: float = 60.0):
    number = this_minute() - ago
    api.api.points.put(
        Minute(
            number,
            True,
            {deployment_id: DeploymentPoint(answered, 0.0, 0.0, answered * 250_000, 0.5, 2**29, 1.0)},
            {(deployment_id, "r1"): ReplicaPoint(0.5, 2**29, 2.0, 1.0)},
            {(deployment_id, "r1", 0): GpuPoint(40.0, None)},
        )
    )
    return datetime.fromtimestamp(number * 60, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


async def test_each_metric_has_the_shape_of_the_reference(api):
    deployment_id = await api.submit(a_config())
    at = put(api, deployment_id, ago=2)

    async def shown(metric):
        return await api.get(f"/v1/deployments/{deployment_id}/metrics", metric=metric)

    assert await shown("requests_total") == [{"timestamp": at, "value": "60"}]
    assert await shown("requests_per_second") == [{"timestamp": at, "value": "1"}]
    assert await shown("requests_duration_seconds_1m") == [{"timestamp": at, "value": "0.25"}]
    assert await shown("requests_duration_seconds_5m") == [{"timestamp": at, "value": "0.25"}]
    assert await shown("cpu") == [{"instanceId": "r1", "values": [{"timestamp": at, "value": "25"}]}]
    assert await shown("memory") == [{"instanceId": "r1", "values": [{"timestamp": at, "value": "50"}]}]
    assert await shown("gpu") == [{"gpu": "0", "instanceId": "r1", "timestamp": at, "value": "40"}]


async def test_no_request_is_told_of_a_time_in_which_the_deployment_was_not_there(api):
    earlier = await api.submit(a_config())
    put(api, earlier, ago=5)
    later = await api.submit(a_config(name="later"))
    assert await api.get(f"/v1/deployments/{later}/metrics", metric="requests_total") == []
    at = put(api, earlier, ago=0)
    assert await api.get(f"/v1/deployments/{later}/metrics", metric="requests_total") == [
        {"timestamp": at, "value": "0"}
    ]


async def test_an_answer_says_since_when_there_is_anything(api):
    deployment_id = await api.submit(a_config())
    path = f"/v1/deployments/{deployment_id}/metrics"
    nothing = await api.http.get(path, params={"metric": "cpu"})
    assert (nothing.json(), nothing.headers[RECORDED_FROM]) == ([], "null")
    at = put(api, deployment_id, ago=30)
    put(api, deployment_id, ago=3)
    found = await api.http.get(path, params={"metric": "cpu", "timeframe": "2_weeks"})
    assert found.headers[RECORDED_FROM] == at


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({}, "metric"),
        ({"metric": "disk"}, "metric"),
        ({"metric": "cpu", "timeframe": "year"}, "timeframe"),
        ({"metric": "cpu", "from": "1"}, "from"),
    ],
)
async def test_what_is_not_known_is_refused_with_what_is_allowed(api, params, path):
    deployment_id = await api.submit(a_config())
    answer = await api.http.get(f"/v1/deployments/{deployment_id}/metrics", params=params)
    assert answer.status_code == 400
    (issue,) = answer.json()["issues"]
    assert issue["path"] == [path]
    if params and path != "from":
        expected = METRICS if path == "metric" else ("hour", "12_hours", "day", "1_week", "2_weeks")
        assert set(issue["allowed"]) == set(expected)


async def test_of_a_deployment_that_is_gone_there_are_none(api):
    deployment_id = await api.submit(a_config())
    await api.http.delete(f"/v1/deployments/{deployment_id}")
    params = {"metric": "cpu"}
    assert await api.status("GET", f"/v1/deployments/{deployment_id}/metrics", params=params) == (
        404,
        "NOT_FOUND",
    )
    assert await api.status("GET", f"/v1/deployments/{'0' * 32}/metrics", params=params) == (404, "NOT_FOUND")


class Clock:
    """Of the stream and of who asks."""

    def __init__(self):
        self.now = 29_000_000 * 60.0

    def __call__(self):
        return datetime.fromtimestamp(self.now, UTC)


@asynccontextmanager
async def collecting(stream, store, clock):
    task = asyncio.create_task(Collector(stream, store, clock=clock).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def requests(number: int, answered: int, *, is_whole: bool = False) -> Batch:
    return Batch(
        kind=Kind.REQUESTS,
        source="edge",
        counter_id="c",
        number=number,
        interval_s=5,
        ended_at=0,
        is_whole=is_whole,
        requests=(RequestTotals(deployment_id="d", answered=answered),),
    )


async def test_a_collector_goes_on_from_its_last_minute_and_counts_every_request_once(tmp_path):
    clock = Clock()
    stream, store = MemorySamples(clock=clock), PointStore(tmp_path / "points.db", most_bytes=2**30)
    try:
        await stream.publish(requests(1, 100, is_whole=True))
        async with collecting(stream, store, clock):
            for number in range(2, 26):
                clock.now += 5
                await stream.publish(requests(number, 100 + number, is_whole=number % 12 == 0))
            await eventually(lambda: store.last_minute() == 29_000_001)
        # Nobody collects, and requests go on.
        for number in range(26, 62):
            clock.now += 5
            await stream.publish(requests(number, 100 + number, is_whole=number % 12 == 0))
        async with collecting(stream, store, clock):
            clock.now += 120
            await eventually(lambda: store.last_minute() == 29_000_005)
        (day,) = store.requests_by_day("d")
        assert day[1] == 61
        assert store.counted(first=29_000_000, last=29_000_009) == list(range(29_000_000, 29_000_006))
    finally:
        store.close()


async def test_a_minute_is_written_although_nothing_more_comes(tmp_path):
    clock = Clock()
    stream, store = MemorySamples(clock=clock), PointStore(tmp_path / "points.db", most_bytes=2**30)
    used = ReplicaUsage(deployment_id="d", replica_id="r", attempt=0, ended_at=1, window_s=15, cpu_cores=0.5)
    batch = Batch(
        kind=Kind.USAGE,
        source="health",
        counter_id="h",
        number=1,
        interval_s=15,
        ended_at=1,
        usage=(used,),
    )
    try:
        await stream.publish(batch)
        async with collecting(stream, store, clock):
            clock.now += 66
            await eventually(lambda: store.last_minute() == 29_000_000)
    finally:
        store.close()


class Held(MemorySamples):
    """After `before` of them the rest is read only when it may be."""

    before = 6

    def __init__(self, clock):
        super().__init__(clock=clock)
        self.is_held, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def follow(self, *kinds, since, after=None, only=None):
        read = 0
        async for item in super().follow(*kinds, since=since, after=after, only=only):
            if read == self.before:
                self.is_held.set()
                await self.may_go_on.wait()
            read += 1
            yield item


async def test_a_minute_is_not_over_while_what_is_stored_of_it_is_still_read(tmp_path, monkeypatch):
    """As where an api comes back, and reads an hour of it."""
    monkeypatch.setattr(collector, "LOOK_S", 0.01)
    clock = Clock()
    stream, store = Held(clock), PointStore(tmp_path / "points.db", most_bytes=2**30)
    try:
        for number in range(1, 12):
            await stream.publish(requests(number, 100 + number, is_whole=number == 1))
            clock.now += 5
        clock.now += 120
        async with collecting(stream, store, clock):
            await stream.is_held.wait()
            await let_time_pass(0.1)  # some looks
            stream.may_go_on.set()
            await eventually(lambda: store.last_minute() == 29_000_000)
        (day,) = store.requests_by_day("d")
        assert day[1] == 10
    finally:
        store.close()
