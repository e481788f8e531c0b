"""The last that replicas wrote is kept where their cluster forgets it, and holds up nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.cluster.abilities import LOCAL
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedReplica, ReplicaPhase
from libs.common.errors import LogUnavailable
from libs.common.events.replica import ReplicaReason
from libs.common.tails.port import MemoryTails
from libs.common.tails.tail import MOST_REPLICAS
from services.health.last_words import AT_ONCE, Due, LastWordsKeeper, due
from tests.support.clusters import DEPLOYMENT, replicas, run_of, workload
from tests.support.polling import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class UnsteadyTails(MemoryTails):
    """is_away: nothing can be kept or read."""

    is_away = False
    kept = 0
    refused = 0

    async def keep(self, deployment_id, tail):
        if self.is_away:
            self.refused += 1
            raise LogUnavailable("the broker is away")
        self.kept += 1
        await super().keep(deployment_id, tail)

    async def deployment_ids(self):
        if self.is_away:
            self.refused += 1
            raise LogUnavailable("the broker is away")
        return await super().deployment_ids()


class UnsteadyCluster(MemoryCluster):
    refused = 0

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.heard: set[str] = set()
        """The replicas that are read or followed now."""

    def _ask(self) -> None:
        self.refused += not self.is_available
        super()._ask()

    async def last_words(self, deployment_id, replica_id, **how):
        self.heard.add(replica_id)
        try:
            async for words in super().last_words(deployment_id, replica_id, **how):
                yield words
        finally:
            self.heard.remove(replica_id)


class Scene:
    """A cluster that forgets, and a keeper that a test lets look."""

    def __init__(self) -> None:
        self.cluster = UnsteadyCluster(lambda: NOW, replace(LOCAL, keeps_last_words=False))
        self.tails = UnsteadyTails(lambda: NOW)
        self.present = {DEPLOYMENT}
        self.begin_anew()

    def begin_anew(self) -> None:
        self.keeper = LastWordsKeeper(
            self.cluster, self.tails, exists=self.present.__contains__, ends_within_s=30, retry_s=0.01
        )

    async def apply(self, number: int, *, stopping=(), fence: int = 1) -> list[ObservedReplica]:
        await self.cluster.apply(workload(run_of(number), retiring=stopping, stopping=stopping), fence=fence)
        for replica in await replicas(self.cluster):
            if replica.phase is ReplicaPhase.PENDING:
                self.cluster.start(replica.replica_id)
        return list(await replicas(self.cluster))

    async def look(self) -> None:
        observed = await self.cluster.observe(DEPLOYMENT)
        self.keeper.take(DEPLOYMENT, observed.get(DEPLOYMENT))

    async def messages(self) -> dict[str, list[str]]:
        return {
            tail.replica_id: [line.message for line in tail.lines]
            for tail in await self.tails.read(DEPLOYMENT)
        }

    async def until_kept(self, **wrote: list[str]) -> None:
        async def is_kept() -> bool:
            return await self.messages() == wrote

        await eventually(is_kept, because="it is not kept")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_what_a_crashed_process_wrote_is_kept(scene: Scene):
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "about to fail")
    scene.cluster.exit(replica.replica_id, status=1)
    await scene.look()
    await scene.until_kept(**{replica.replica_id: ["about to fail"]})
    scene.cluster.start(replica.replica_id)
    scene.cluster.write(replica.replica_id, "again")
    scene.cluster.exit(replica.replica_id, status=1)
    await scene.look()
    await scene.until_kept(**{replica.replica_id: ["about to fail", "again"]})


async def test_what_runs_well_and_what_was_seen_costs_nothing(scene: Scene):
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "fine")
    await scene.look()
    scene.cluster.exit(replica.replica_id, status=1)
    for _ in range(3):
        await scene.look()
    await scene.until_kept(**{replica.replica_id: ["fine"]})
    assert scene.tails.kept == 1


async def test_a_replica_that_is_to_end_is_followed_to_its_last_word(scene: Scene):
    (replica,) = await scene.apply(1)
    replica_id = replica.replica_id
    scene.cluster.write(replica_id, "serving")
    await scene.apply(0, stopping=[replica_id], fence=2)
    await scene.look()
    await scene.until_kept(**{replica_id: ["serving"]})
    scene.cluster.write(replica_id, "goodbye")
    scene.cluster.end(replica_id)
    assert (await scene.cluster.logs(DEPLOYMENT, limit=9)).lines == ()
    await scene.until_kept(**{replica_id: ["serving", "goodbye"]})


async def test_another_process_of_the_service_goes_on(scene: Scene):
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "serving")
    await scene.apply(0, stopping=[replica.replica_id], fence=2)
    await scene.look()
    await scene.until_kept(**{replica.replica_id: ["serving"]})
    for task in scene.keeper._tasks:
        task.cancel()
    scene.begin_anew()
    scene.cluster.write(replica.replica_id, "ending")
    await scene.look()
    await scene.until_kept(**{replica.replica_id: ["serving", "ending"]})
    scene.cluster.write(replica.replica_id, "goodbye")
    scene.cluster.end(replica.replica_id)
    await scene.until_kept(**{replica.replica_id: ["serving", "ending", "goodbye"]})


async def test_of_a_lost_node_it_says_so(scene: Scene):
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "unheard")
    scene.cluster.make_unreadable(replica.replica_id, "its node gpu-3 does not answer")
    shown = replace((await replicas(scene.cluster))[0], reason=ReplicaReason.NODE_LOST)
    observed = (await scene.cluster.observe(DEPLOYMENT))[DEPLOYMENT]
    scene.keeper.take(DEPLOYMENT, replace(observed, replicas=(shown,)))

    async def is_said() -> bool:
        return [tail.problem for tail in await scene.tails.read(DEPLOYMENT)] == [
            "its node gpu-3 does not answer"
        ]

    await eventually(is_said)


async def test_what_cannot_be_read_for_a_moment_is_said_and_read_then(scene: Scene):
    """A kubelet that is busy may take longer than one is waited for."""
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "heard later")
    scene.cluster.make_unreadable(replica.replica_id, "its node gpu-3 does not answer within 5 s")
    scene.cluster.exit(replica.replica_id, status=1)
    await scene.look()

    async def problems() -> list[str]:
        return [tail.problem for tail in await scene.tails.read(DEPLOYMENT)]

    async def is_said() -> bool:
        return await problems() == ["its node gpu-3 does not answer within 5 s"]

    await eventually(is_said)
    scene.cluster.make_unreadable(replica.replica_id, "")
    await scene.until_kept(**{replica.replica_id: ["heard later"]})
    assert await problems() == [""]
    await eventually(lambda: not scene.keeper._tasks)


@pytest.mark.parametrize("is_the_cluster", [True, False])
async def test_what_cannot_be_done_is_tried_again_and_nobody_waits(scene: Scene, is_the_cluster: bool):
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "heard later")
    scene.cluster.exit(replica.replica_id, status=1)
    observed = (await scene.cluster.observe(DEPLOYMENT))[DEPLOYMENT]
    scene.cluster.is_available, scene.tails.is_away = not is_the_cluster, not is_the_cluster
    scene.keeper.take(DEPLOYMENT, observed)
    if is_the_cluster:
        await eventually(lambda: scene.cluster.refused)
    else:
        await eventually(lambda: scene.tails.refused)
    scene.cluster.is_available, scene.tails.is_away = True, False
    await scene.until_kept(**{replica.replica_id: ["heard later"]})


async def test_a_thousand_that_end_at_once_are_not_all_read(scene: Scene):
    shown = await scene.apply(1_000)
    for replica in shown:
        scene.cluster.write(replica.replica_id, "goodbye")
    await scene.apply(0, stopping=[replica.replica_id for replica in shown], fence=2)
    await scene.look()
    await scene.look()
    assert len(scene.keeper._tasks) == MOST_REPLICAS

    async def are_read() -> bool:
        return len(await scene.messages()) == MOST_REPLICAS

    await eventually(are_read)
    for replica in shown:
        scene.cluster.end(replica.replica_id)
    await eventually(lambda: not scene.keeper._tasks)
    assert len(await scene.messages()) == MOST_REPLICAS


async def test_no_more_than_128_are_followed_at_once_and_the_others_have_their_turn(scene: Scene):
    deployment_ids = [f"many-{number}" for number in range(17)]
    scene.present |= set(deployment_ids)
    ending = []
    for deployment_id in deployment_ids:
        await scene.cluster.apply(workload(run_of(8), deployment_id=deployment_id), fence=1)
        shown = [replica.replica_id for replica in await replicas(scene.cluster, deployment_id)]
        for replica_id in shown:
            scene.cluster.start(replica_id)
            scene.cluster.write(replica_id, "goodbye")
        stopped = workload(run_of(0), retiring=shown, stopping=shown, deployment_id=deployment_id)
        await scene.cluster.apply(stopped, fence=2)
        scene.keeper.take(deployment_id, (await scene.cluster.observe(deployment_id))[deployment_id])
        ending += shown
    await eventually(lambda: scene.tails.kept >= AT_ONCE)
    followed = scene.cluster.heard.copy()
    assert len(followed) == AT_ONCE == 128
    for replica_id in followed:
        scene.cluster.end(replica_id)
    await eventually(lambda: scene.cluster.heard == set(ending) - followed)
    for replica_id in set(ending) - followed:
        scene.cluster.end(replica_id)
    await eventually(lambda: not scene.keeper._tasks)
    kept = [tail.replica_id for each in deployment_ids for tail in await scene.tails.read(each)]
    assert sorted(kept) == sorted(ending)


async def test_it_is_deleted_with_the_deployment(scene: Scene):
    async with scene.running():
        (replica,) = await scene.apply(1)
        scene.cluster.write(replica.replica_id, "secret")
        scene.cluster.exit(replica.replica_id, status=1)
        await scene.look()
        await scene.until_kept(**{replica.replica_id: ["secret"]})
        scene.tails.is_away = True
        scene.present.clear()
        await scene.look()
        await eventually(lambda: scene.tails.refused)
        scene.tails.is_away = False
        await scene.until_kept()
        await scene.look()
        assert await scene.tails.deployment_ids() == frozenset()


async def test_what_was_left_by_a_deployment_that_went_meanwhile_is_deleted_at_the_start(scene: Scene):
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "secret")
    scene.cluster.exit(replica.replica_id, status=1)
    await scene.look()
    await scene.until_kept(**{replica.replica_id: ["secret"]})
    scene.present.clear()
    scene.begin_anew()
    async with scene.running():
        await scene.until_kept()


async def test_nothing_is_kept_of_what_is_deleted(scene: Scene):
    (replica,) = await scene.apply(1)
    scene.cluster.write(replica.replica_id, "secret")
    scene.present.clear()
    await scene.apply(0, stopping=[replica.replica_id], fence=2)
    await scene.look()
    assert not scene.keeper._tasks


def test_what_there_is_to_keep_of_a_replica():
    (base,) = (
        ObservedReplica(
            "r", "run", "spec", run_of(1).template, ReplicaPhase.RUNNING, NOW - timedelta(hours=1)
        ),
    )
    assert due(base) == Due()
    assert due(replace(base, attempt=2)) == Due(ended=2)
    assert due(replace(base, attempt=2, phase=ReplicaPhase.EXITED)) == Due(ended=3)
    assert due(replace(base, phase=ReplicaPhase.STOPPING)) == Due(is_ending=True)
    assert due(replace(base, reason=ReplicaReason.NODE_LOST)) == Due(is_lost=True)
