"""Which measurements are samples, and what is published of them."""

import asyncio
import math
from contextlib import aclosing
from dataclasses import replace

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.usage import Used, UsedGpu
from libs.common.metrics.port import CaughtUp, MemorySamples, Received
from libs.common.metrics.samples import GpuUsage, Kind
from services.health.sampler import Sampler
from services.health.sampling import AHEAD_S, Dropped, sift
from tests.support.clusters import all_run, replicas, run_of, workload
from tests.support.polling import PATIENCE_S

NOW = 1_000_000.0
GOOD = Used(
    deployment_id="d",
    replica_id="r",
    attempt=1,
    ended_at=NOW - 1,
    window_s=15.0,
    cpu_cores=0.5,
    memory_bytes=1e8,
    cpus=2.0,
    memory_gib=1.0,
    most_cpus=4.0,
    most_memory_bytes=8e9,
)


def test_a_good_measurement_is_a_sample():
    sifted = sift([GOOD], now=NOW)
    (sample,) = sifted.samples
    assert not sifted.dropped
    assert (sample.deployment_id, sample.replica_id, sample.attempt) == ("d", "r", 1)
    assert (sample.ended_at, sample.window_s) == (NOW - 1, 15.0)
    assert (sample.cpu_cores, sample.memory_bytes, sample.cpus, sample.memory_gib) == (0.5, 10**8, 2.0, 1.0)


def test_what_is_not_known_is_no_reason_to_drop_the_rest():
    unknown = replace(GOOD, cpu_cores=None, memory_bytes=None, cpus=None, most_cpus=None)
    (sample,) = sift([unknown], now=NOW).samples
    assert (sample.cpu_cores, sample.memory_bytes, sample.cpus) == (None, None, None)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"cpu_cores": math.nan}, Dropped.NOT_FINITE),
        ({"cpu_cores": math.inf}, Dropped.NOT_FINITE),
        ({"memory_bytes": math.nan}, Dropped.NOT_FINITE),
        ({"memory_bytes": -math.inf}, Dropped.NOT_FINITE),
        ({"window_s": math.nan}, Dropped.NOT_FINITE),
        ({"ended_at": math.inf}, Dropped.NOT_FINITE),
        ({"cpu_cores": -0.1}, Dropped.NEGATIVE),
        ({"memory_bytes": -1.0}, Dropped.NEGATIVE),
        ({"window_s": -1.0}, Dropped.NEGATIVE),
        ({"ended_at": -1.0}, Dropped.NEGATIVE),
        ({"memory_bytes": 1e30, "most_memory_bytes": None}, Dropped.TOO_MUCH),
        ({"window_s": 1e16}, Dropped.TOO_MUCH),
        ({"cpu_cores": 4.5}, Dropped.TOO_MUCH),
        ({"memory_bytes": 9e9}, Dropped.TOO_MUCH),
        ({"ended_at": NOW + AHEAD_S + 0.1}, Dropped.FUTURE),
        ({"ended_at": NOW + 3600}, Dropped.FUTURE),
    ],
)
def test_what_cannot_be_is_dropped_and_counted_and_harms_no_other(wrong, reason):
    sifted = sift([replace(GOOD, **wrong), replace(GOOD, replica_id="other")], now=NOW)
    assert [sample.replica_id for sample in sifted.samples] == ["other"]
    assert sifted.dropped == {reason: 1}


GPU = UsedGpu(0, utilization_percent=40.0, memory_bytes=1e9, most_memory_bytes=16e9)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"utilization_percent": math.nan}, Dropped.NOT_FINITE),
        ({"utilization_percent": -1.0}, Dropped.NEGATIVE),
        ({"utilization_percent": 120.0}, Dropped.TOO_MUCH),
        ({"memory_bytes": math.inf}, Dropped.NOT_FINITE),
        ({"memory_bytes": -1.0}, Dropped.NEGATIVE),
        ({"memory_bytes": 20e9}, Dropped.TOO_MUCH),
    ],
)
def test_a_gpu_that_cannot_be_is_dropped_and_counted_alone(wrong, reason):
    sifted = sift([replace(GOOD, gpus=(replace(GPU, **wrong), replace(GPU, gpu=1)))], now=NOW)
    (sample,) = sifted.samples
    assert sample.gpus == (GpuUsage(gpu=1, utilization_percent=40.0, memory_bytes=10**9),)
    assert sample.cpu_cores == 0.5
    assert sifted.dropped == {reason: 1}


def test_what_is_not_known_of_a_gpu_is_left_out():
    (sample,) = sift([replace(GOOD, gpus=(UsedGpu(0, memory_bytes=7.0), UsedGpu(1)))], now=NOW).samples
    assert sample.gpus == (GpuUsage(gpu=0, memory_bytes=7), GpuUsage(gpu=1))


@pytest.mark.parametrize("right", [{"cpu_cores": 4.3}, {"ended_at": NOW + AHEAD_S}, {"cpu_cores": 0.0}])
def test_at_the_edge_it_is_kept(right):
    assert len(sift([replace(GOOD, **right)], now=NOW).samples) == 1


class Scene:
    """A cluster of two replicas, and what is heard of them."""

    def __init__(self):
        self.cluster = MemoryCluster(utc_now)
        self.stream = MemorySamples()
        self.now = 0.0
        self.sampler = Sampler(
            self.cluster, self.stream, interval_s=15, clock=utc_now, ticks=lambda: self.now
        )

    async def begin(self):
        await self.cluster.apply(workload(run_of(2)), fence=1)
        self.cluster.advance()
        shown = await replicas(self.cluster)
        assert all_run(2)(shown)
        return [replica.replica_id for replica in shown]

    async def sample(self, *, after_s: float = 15.0):
        self.now += after_s
        await self.sampler.sample()

    async def heard(self):
        found = []
        async with (
            asyncio.timeout(PATIENCE_S),
            aclosing(self.stream.follow(Kind.USAGE, since=0)) as following,
        ):
            async for one in following:
                if isinstance(one, CaughtUp):
                    return found
                assert isinstance(one, Received)
                found.append(one.batch)
        raise AssertionError("follow never ends")


async def test_what_a_gpu_is_used_for_is_published_with_the_rest():
    scene = Scene()
    one, other = await scene.begin()
    scene.cluster.use(one, cpu_cores=0.5, memory_bytes=1000, gpus=(GPU, UsedGpu(1, math.nan)))
    scene.cluster.use(other, cpu_cores=0.5, memory_bytes=1000)
    await scene.sample()
    (batch,) = await scene.heard()
    found = {sample.replica_id: sample.gpus for sample in batch.usage}
    assert found == {one: (GpuUsage(gpu=0, utilization_percent=40.0, memory_bytes=10**9),), other: ()}


async def test_every_interval_has_its_batch_with_what_is_new():
    scene = Scene()
    one, other = await scene.begin()
    scene.cluster.use(one, cpu_cores=0.5, memory_bytes=1000, ended_at=100.0)
    scene.cluster.use(other, cpu_cores=0.25, memory_bytes=1000, ended_at=100.0)
    await scene.sample()
    scene.cluster.use(other, cpu_cores=0.75, memory_bytes=1000, ended_at=115.0)
    await scene.sample()
    await scene.sample(after_s=60)
    first, second, third = await scene.heard()
    assert [batch.number for batch in (first, second, third)] == [1, 2, 3]
    assert len({batch.counter_id for batch in (first, second, third)}) == 1
    assert [batch.is_whole for batch in (first, second, third)] == [True, False, True]
    assert {sample.replica_id for sample in first.usage} == {one, other}
    assert [(sample.replica_id, sample.ended_at) for sample in second.usage] == [(other, 115.0)]
    assert {sample.replica_id: sample.ended_at for sample in third.usage} == {one: 100.0, other: 115.0}


async def test_while_the_cluster_cannot_be_asked_nothing_is_said():
    scene = Scene()
    await scene.begin()
    await scene.sample()
    scene.cluster.is_available = False
    await scene.sample()
    assert len(await scene.heard()) == 1
    scene.cluster.is_available = True
    await scene.sample()
    assert [batch.number for batch in await scene.heard()] == [1, 2]


async def test_a_mad_measurement_is_not_published():
    scene = Scene()
    one, other = await scene.begin()
    scene.cluster.use(one, cpu_cores=math.nan, memory_bytes=1000)
    scene.cluster.use(other, cpu_cores=0.5, memory_bytes=1000)
    await scene.sample()
    (batch,) = await scene.heard()
    assert [sample.replica_id for sample in batch.usage] == [other]
