"""Whatever an import brings, each service decides about every deployment there is, and what it decides is
taken by the log and understood."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from hypothesis import given

from libs.common.cluster.abilities import Abilities
from libs.common.cluster.addresses import LOCAL
from libs.common.cluster.port import ReplicaPhase
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.machine_types.reading import bundled
from libs.common.runtime import Progress
from libs.common.state.aggregates import followed_by
from libs.common.state.view import Views
from services.autoscaler.fleet import Fleet
from services.health.loop import Watch
from services.health.prober import Prober
from services.health.records import Records
from services.reconciler.converge import Reconciler
from services.router.measuring.in_flight import needs_in_flight
from services.router.routing import make_leaving, make_routing
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.types import Packed
from tests.support.autoscaling import Autoscaler, Source
from tests.support.made_up_facts import EPOCH, GOOD
from tests.support.made_up_histories import histories, log_of
from tests.support.polling import eventually, let_others_run
from tests.unit.health.test_watch import NativeCluster

NOW = EPOCH + timedelta(days=1)


async def views_of(log: MemoryLog, service: str) -> Views:
    views = Views(followed_by(service))
    async for event in log.read(*views.filters):
        views.apply(event)
    return views


async def assert_understood(log: MemoryLog, after: int) -> None:
    """All that was appended since."""
    assert [event.unknown async for event in log.read(">", after=after) if event.fact is None] == []


@given(histories)
def test_what_is_wanted_is_run_and_watched(history: list[Stored]) -> None:
    asyncio.run(_run_and_watch(history))


async def _run_and_watch(history: Iterable[Stored]) -> None:
    log = await log_of(history)
    imported = await log.last_sequence()
    cluster = NativeCluster(lambda: NOW, Abilities(probes_natively=True))
    reconciler = Reconciler(log, cluster, clock=lambda: NOW, machine_types=bundled())
    for _ in range(3):
        for deployment_id in (await views_of(log, "reconciler")).by_id:
            await reconciler.resync(deployment_id)
        await _watch(log, cluster)
        for workload in (await cluster.observe()).values():
            for replica in workload.replicas:
                match replica.phase:
                    case ReplicaPhase.PENDING:
                        cluster.start(replica.replica_id)
                    case ReplicaPhase.RUNNING:
                        cluster.say(replica.replica_id, ready=True)
                    case ReplicaPhase.STOPPING:
                        cluster.end(replica.replica_id)
    await assert_understood(log, imported)
    good = (await views_of(log, "reconciler")).by_id[GOOD]
    assert good.rollout.applied_spec_id == "e" * 32
    assert len(good.roster.replicas) == 1


async def _watch(log: MemoryLog, cluster: NativeCluster) -> None:
    progress, records = Progress(), Records(log, await views_of(log, "health"))
    await records.load()
    watch = Watch(cluster, records, Prober(), progress=progress, clock=lambda: NOW, ticks=lambda: 0.0)
    try:
        await watch.observe()
    finally:
        watch.close()
    assert progress.set_aside == {}


@given(histories)
def test_what_is_there_is_routed(history: list[Stored]) -> None:
    asyncio.run(_route(history))


async def _route(history: Iterable[Stored]) -> None:
    views = await views_of(await log_of(history), "router")
    cache = Cache(Packed.of(make_listener(8081, upload_deadline_s=600)))
    for view in views:
        cache.put(make_routing(view, LOCAL))
        make_leaving(view, LOCAL)
        needs_in_flight(view)
    assert cache.resources[GOOD].is_served


@given(histories)
def test_what_scales_by_load_is_scaled(history: list[Stored]) -> None:
    asyncio.run(_scale(history))


async def _scale(history: Iterable[Stored]) -> None:
    log = await log_of(history)
    imported = await log.last_sequence()
    autoscaler = Autoscaler(log, ticks=lambda: 1_000.0, clock=lambda: NOW)
    fleet = Fleet(autoscaler.knowledge)
    async with autoscaler.running():
        await eventually(lambda: autoscaler.progress.is_ready)
        source = Source(autoscaler.samples)
        for view in autoscaler.views:
            named = [one.replica_id for one in view.roster.replicas if len(one.replica_id) == len(GOOD)]
            await source.use(view.deployment_id, *named, percent=300)
        await let_others_run(50)
        fleet.note_all()
        fleet.shown(now=1_000.0)
    assert autoscaler.progress.set_aside == {}
    await assert_understood(log, imported)
