"""Whatever an import brings, health examines what the cluster shows and nothing else, and never without a
pause."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.clock import Clock
from libs.common.cluster.fencing import Fence
from libs.common.cluster.memory import HOST, MemoryCluster
from libs.common.cluster.port import ObservedReplica, ReplicaPhase, RunWorkload, Workload
from libs.common.errors import DeploymentUnavailable, Temporary
from libs.common.log.port import Stored
from libs.common.machine_types.reading import bundled
from libs.common.runtime import Progress
from libs.common.spec.model import HealthCheck
from libs.common.state.view import Views
from services.health.probe_request import Endpoint, make_request
from services.health.prober import Prober
from services.health.probing import Failure, Outcome, ProberError, Success
from services.health.watching import watch_cluster
from services.reconciler.converge import Reconciler
from tests.support.made_up_histories import histories, log_of, views_of
from tests.support.polling import let_time_pass
from tests.support.strategies import EPOCH
from tests.support.swift_loop import SwiftLoop

FEW = settings(max_examples=max(8, settings.default.max_examples // 2))
"""Each is minutes of a platform."""
ROOM: Final = 20
"""Replicas of a deployment that the cluster takes."""
MOST_ATTEMPTS: Final = 10
"""At which it begins: nobody has started a replica as often as a log may say."""
LOOKS: Final = 20
EVERY_S: Final = 6.0
"""Between what the reconciler and the cluster do, on a clock that waits for nobody."""


class RestoredCluster(MemoryCluster):
    """Its replicas have the ids of which the log speaks, and begin at their attempts."""

    def __init__(self, views: Views, *, clock: Clock, chance: Random) -> None:
        super().__init__(clock)
        self.chance = chance
        self.endpoints: set[Endpoint] = set()
        """All that it has ever shown."""
        self._spoken_of = [known for view in views for known in view.roster.replicas]

    async def apply(self, workload: Workload, *, fence: Fence) -> None:
        if sum(run.replicas for run in workload.runs) > ROOM:
            raise DeploymentUnavailable("there is no room for so many")
        await super().apply(workload, fence=fence)

    def _create(self, run: RunWorkload, traceparent: str | None) -> ObservedReplica:
        created = super()._create(run, traceparent)
        if not self._spoken_of:
            return created
        known = self._spoken_of.pop(0)
        if any(known.replica_id in each.replicas for each in self._deployments.values()):
            return created
        return replace(created, replica_id=known.replica_id, attempt=min(known.attempt, MOST_ATTEMPTS))

    def live(self) -> None:
        """By chance something ends, and what is due happens."""
        if (running := self._running()) and self.chance.randrange(3) == 0:
            self.exit(self.chance.choice(running).replica_id, status=1)
        self.advance()
        for replica in self._running():
            self.endpoints |= {Endpoint(HOST, port) for port in (replica.ports or {}).values()}

    def _running(self) -> list[ObservedReplica]:
        shown = (one for deployment in self._deployments.values() for one in deployment.replicas.values())
        return [one for one in shown if one.phase is ReplicaPhase.RUNNING]


class PlayedProber(Prober):
    """What replicas answer goes by chance."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.asked: list[Endpoint] = []
        self._chance = chance

    async def get(self, endpoint: Endpoint, check: HealthCheck, ports: Any = None) -> Outcome:  # noqa: ARG002
        make_request(endpoint, check).to_bytes()
        return self._answer(endpoint)

    async def connect(self, endpoint: Endpoint, timeout_s: float = 1.0) -> Outcome:  # noqa: ARG002
        return self._answer(endpoint)

    def _answer(self, endpoint: Endpoint) -> Outcome:
        self.asked.append(endpoint)
        outcomes = (Success(), Success(), Failure("HTTP 503"), Failure("", is_refused=True), ProberError("x"))
        return self._chance.choice(outcomes)


@FEW
@given(histories, st.integers(0, 2**40))
def test_what_is_there_is_examined(history: list[Stored], seed: int) -> None:
    with asyncio.Runner(loop_factory=SwiftLoop) as runner:
        runner.run(_examine(history, Random(seed)))
        loop = runner.get_loop()
        assert isinstance(loop, SwiftLoop)
        assert not loop.has_spun


async def _examine(history: Iterable[Stored], chance: Random) -> None:
    log, ticks = await log_of(history), asyncio.get_running_loop().time
    views = await views_of(log, "health")

    def clock() -> datetime:
        return EPOCH + timedelta(minutes=90, seconds=ticks())

    cluster = RestoredCluster(views, clock=clock, chance=chance)
    prober, progress = PlayedProber(chance), Progress()
    reconciler = Reconciler(log, cluster, clock=clock, machine_types=bundled())
    watching = asyncio.ensure_future(
        watch_cluster(log, cluster, prober, progress=progress, clock=clock, ticks=ticks)
    )
    try:
        for _ in range(LOOKS):
            for deployment_id in views.by_id:
                with suppress(Temporary):
                    await reconciler.resync(deployment_id)
            cluster.live()
            await let_time_pass(EVERY_S)
            assert progress.set_aside == {}
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert watching.cancelled()
    assert set() < set(prober.asked) <= cluster.endpoints
