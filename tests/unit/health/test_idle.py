"""What wants nothing and has nothing costs health nothing; what changes is looked at by itself, at once."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.changed import Changed
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedWorkload, RunWorkload, Workload
from libs.common.errors import ClusterUnavailable
from libs.common.events.envelope import select
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Loaded
from libs.common.runtime import Progress
from libs.common.spec.template import Template, run_id
from services.health import loop
from services.health.prober import Prober
from services.health.watching import watch_cluster
from tests.support.deployments import Storyteller
from tests.support.polling import eventually, let_time_pass

BUSY = "b" * 32
VACANT = tuple(f"{number:032d}" for number in range(500))
TEMPLATE = Template(image="i", command=("serve",), ports=(8000,), machine_type="C4")


class CountingLog(MemoryLog):
    loads = 0

    async def load(self, *filters: str) -> Loaded:
        self.loads += 1
        return await super().load(*filters)


class CountingCluster(MemoryCluster):
    """asked: what was looked at; None is everything. is_deaf: whether `watch` cannot be asked."""

    is_deaf = False

    def __init__(self) -> None:
        super().__init__(utc_now)
        self.asked: list[str | None] = []

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        self.asked.append(deployment_id)
        return await super().observe(deployment_id)

    async def watch(self) -> AsyncIterator[Changed]:
        async for changed in super().watch():
            if self.is_deaf:
                raise ClusterUnavailable("deaf")
            yield changed


class Scene:
    def __init__(self) -> None:
        self.log, self.cluster, self.progress = CountingLog(), CountingCluster(), Progress()

    async def apply(self, deployment_id: str, replicas: int) -> None:
        runs = (RunWorkload(run_id(TEMPLATE), "s", TEMPLATE, replicas),)
        await self.cluster.apply(Workload("default", deployment_id, runs), fence=1)

    async def facts(self, deployment_id: str = BUSY) -> list[str]:
        return [event.type async for event in self.log.read(select(aggregate_id=deployment_id))]

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(
            watch_cluster(
                self.log, self.cluster, Prober(), progress=self.progress, clock=utc_now, ticks=monotonic
            )
        )
        try:
            await eventually(lambda: self.progress.is_ready)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    for deployment_id in VACANT:
        await scene.apply(deployment_id, 0)
    return scene


@pytest.fixture
def no_resync(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the test takes."""
    monkeypatch.setattr(loop, "RESYNC_S", 3600.0)


@pytest.mark.usefixtures("no_resync")
async def test_deployments_without_replicas_are_not_read_from_the_log_and_not_looked_at_again(
    scene: Scene,
) -> None:
    async with scene.watching():
        loads, asked = scene.log.loads, len(scene.cluster.asked)
        assert loads < 10
        await let_time_pass(4 * loop.RETRY_S)
        assert (scene.log.loads, len(scene.cluster.asked)) == (loads, asked)


@pytest.mark.usefixtures("no_resync")
async def test_what_changes_is_looked_at_by_itself_and_at_once(scene: Scene) -> None:
    async with scene.watching():
        asked = len(scene.cluster.asked)
        await scene.apply(BUSY, 1)
        await eventually(scene.facts)
        assert set(scene.cluster.asked[asked:]) == {BUSY}


async def test_what_changed_last_is_observed_before_all_others(scene: Scene) -> None:
    """A change that comes while health is away does not wait until thousands have been observed."""
    for deployment_id in (*VACANT[:50], BUSY):
        await Storyteller(scene.log, deployment_id).create(replicas=0)
    async with scene.watching():
        first = scene.cluster.asked[: loop.FIRST]
        assert first[0] == BUSY
        assert None not in first
        assert None in scene.cluster.asked


async def test_changes_that_follow_a_record_are_gathered_and_none_is_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered_s = 0.3
    monkeypatch.setattr(loop, "GATHER_S", gathered_s)
    async with scene.watching():
        begun = monotonic()
        await scene.apply(BUSY, 1)
        await eventually(scene.facts)
        before = len(await scene.facts())
        (replica,) = (await scene.cluster.observe(BUSY))[BUSY].replicas
        scene.cluster.start(replica.replica_id)

        async def is_told() -> bool:
            return len(await scene.facts()) > before

        await eventually(is_told)
        assert monotonic() - begun >= gathered_s


async def test_without_a_word_from_the_cluster_everything_is_looked_at_from_time_to_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "RESYNC_S", 0.1)
    async with scene.watching():
        before = scene.cluster.asked.count(None)
        await eventually(lambda: scene.cluster.asked.count(None) > before + 2)


async def test_a_cluster_that_cannot_tell_is_looked_at_again_and_listened_to_again(scene: Scene) -> None:
    async with scene.watching():
        scene.cluster.is_deaf = True
        await scene.apply(BUSY, 1)
        await eventually(scene.facts)
        scene.cluster.is_deaf = False
        asked = len(scene.cluster.asked)
        await eventually(lambda: len(scene.cluster.asked) > asked)
        before = len(await scene.facts())
        (replica,) = (await scene.cluster.observe(BUSY))[BUSY].replicas
        scene.cluster.start(replica.replica_id)

        async def is_told() -> bool:
            return len(await scene.facts()) > before

        await eventually(is_told)
