"""Hundreds of deployments through the reconciler and health together, beside a played cluster and router."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from libs.common.bus.pool import Pool
from libs.common.clock import monotonic, utc_now
from libs.common.cluster.abilities import Abilities
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import ObservedWorkload, ReplicaPhase
from libs.common.events.envelope import Recorded, select
from libs.common.events.replica import ReplicaState
from libs.common.events.rollout import ReplicasRetiring
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import EventLog
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.spec.model import Spec
from libs.common.spec.template import make_template, run_id
from services.health.prober import Prober
from services.health.watching import watch_cluster
from services.reconciler.converge import Reconciler, Trigger
from services.reconciler.handlers import handle
from services.reconciler.loop import Resync
from tests.support.endless import running
from tests.support.killing import SEED_VARIABLE, choose_seed
from tests.support.players import Players
from tests.support.polling import PATIENCE_S, eventually, let_time_pass
from tests.unit.reconciler.scene import spec

DEPLOYMENTS = 200
REPLICAS = 2
MOST_EVENTS = 40
"""Of a deployment that was created, changed once, crashed once and was deleted or not."""


class ReadyCluster(MemoryCluster):
    """It carries out the checks itself: what runs is ready."""

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        observed = await super().observe(deployment_id)
        return {
            id_: replace(
                workload,
                replicas=tuple(replace(r, ready=r.phase is ReplicaPhase.RUNNING) for r in workload.replicas),
            )
            for id_, workload in observed.items()
        }


class Platform:
    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.cluster = ReadyCluster(utc_now, Abilities(probes_natively=True))
        self.progress = Progress()
        self.players = [Players(self.log, self.cluster, new_id()) for _ in range(DEPLOYMENTS)]

    async def deliver(self, pool: Pool[Recorded]) -> None:
        """As the durable does."""

        class Message:
            async def ack(self) -> None: ...
            async def nak(self, delay: float | None = None) -> None: ...
            async def term(self) -> None: ...
            async def in_progress(self) -> None: ...

        async for event in self.log.follow(select()):
            if isinstance(event, Recorded) and event.page is None:
                key = event.aggregate.id
                await pool.put(key, event, Message(), sequence=event.sequence, subject="", deliveries=1)

    async def route(self) -> None:
        """The router: what is to leave is withdrawn at once."""
        players = {each.deployment_id: each for each in self.players}
        async for event in self.log.follow(select(event_type=ReplicasRetiring.event_type())):
            if isinstance(event, Recorded):
                await players[event.aggregate.id].router()

    async def advance(self) -> None:
        """The cluster does what it was told."""
        while True:
            self.cluster.advance()
            await let_time_pass(0.01)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        reconciler = Reconciler(self.log, self.cluster)
        aside = Aside("reconcile", self.progress.set_aside)
        resync = Resync(self.log, self.cluster, reconciler, Progress(), aside, interval_s=1)
        health = watch_cluster(
            self.log, self.cluster, Prober(), progress=self.progress, clock=utc_now, ticks=monotonic
        )

        async def on_event(event: Recorded) -> None:
            await handle(reconciler, aside, Trigger.by(event))

        async with Pool(on_event).open() as pool:
            work = [health, self.deliver(pool), resync.follow(), resync.run(), self.route(), self.advance()]
            async with running(*work):
                yield

    async def register(self, players: list[Players], wanted: Spec) -> None:
        await asyncio.gather(*(each.register(wanted) for each in players))

    async def settled(self, wanted: Mapping[Players, Spec | None]) -> None:
        """Until each deployment has what it wants, all of it ready; None wants nothing."""

        async def is_settled(player: Players, spec_: Spec | None) -> bool:
            view = await player.view()
            assert view is not None
            run = run_id(make_template(spec_)) if spec_ else ""
            number = spec_.resources.replicas if spec_ else 0
            ready = {
                (r.replica_id, r.attempt, r.run_id)
                for r in view.roster.replicas
                if r.state is ReplicaState.RUNNING
            }
            observed = await player.observed()
            running = {(r.replica_id, r.attempt, run) for r in observed if r.phase is ReplicaPhase.RUNNING}
            return ready == running and len(ready) == len(view.roster.replicas) == len(observed) == number

        async def are() -> bool:
            while left:
                if not await is_settled(left[-1], wanted[left[-1]]):
                    return False
                left.pop()
            return True

        left = list(wanted)
        await eventually(are, within_s=3 * PATIENCE_S, every_s=0.1, because="not all are as they should be")
        for player, spec_ in wanted.items():
            assert await is_settled(player, spec_), "it did not stay as it was"


@pytest.mark.timeout(900)  # each of two waits may take long on a busy machine
async def test_hundreds_of_deployments_become_what_their_specs_say(jetstream_log: JetStreamLog):
    seed = choose_seed()
    print(f"{SEED_VARIABLE}={seed}")
    chance = random.Random(seed)
    platform = Platform(jetstream_log)
    all_ = platform.players
    first, second = spec("a", REPLICAS), spec("b", REPLICAS)
    async with platform.running():
        await platform.register(all_, first)
        await platform.settled(dict.fromkeys(all_, first))

        changed, deleted = all_[: DEPLOYMENTS // 3], all_[DEPLOYMENTS // 3 : DEPLOYMENTS // 2]
        crashing = chance.sample([r.replica_id for p in all_ for r in await p.observed()], DEPLOYMENTS // 3)
        for replica_id in crashing:
            platform.cluster.exit(replica_id, status=1)
        await platform.register(changed, second)
        await asyncio.gather(*(each.delete() for each in deleted))
        wanted = dict.fromkeys(all_, first) | dict.fromkeys(changed, second) | dict.fromkeys(deleted)
        await platform.settled(wanted)
        assert not platform.progress.set_aside
    for player in all_:
        events = [e async for e in platform.log.read(select(aggregate_id=player.deployment_id))]
        assert len(events) <= MOST_EVENTS, [e.type for e in events]
