"""Whatever an import brings, each service decides about every deployment there is, and what it decides is
taken by the log and understood."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta

from hypothesis import given

from libs.common.autoscaling.kept import Kept, read_kept
from libs.common.autoscaling.sentence import sentence_of
from libs.common.cluster.addresses import LOCAL
from libs.common.cluster.port import ReplicaPhase
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.machine_types.reading import bundled
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestsInFlight, RequestTotals
from libs.common.runtime import Progress
from libs.common.state.view import Views
from services.autoscaler.appending import Appender
from services.autoscaler.fleet import Fleet
from services.autoscaler.memory import KeptMemory
from services.health.loop import Watch
from services.health.prober import Prober
from services.health.records import Records
from services.reconciler.converge import Reconciler
from services.router.measuring.in_flight import needs_in_flight
from services.router.routing import make_leaving, make_routing
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.types import Packed
from tests.support.made_up_facts import GOOD
from tests.support.made_up_histories import histories, log_of, views_of
from tests.support.played_kubernetes import PlayedKubernetes
from tests.support.scaling_story import knowledge_of
from tests.support.strategies import EPOCH

NOW = EPOCH + timedelta(minutes=90)


async def assert_understood(log: MemoryLog, after: int) -> None:
    """All that was appended since."""
    assert [event.unknown async for event in log.read(">", after=after) if event.fact is None] == []


@given(histories)
def test_what_is_wanted_is_run_and_watched(history: list[Stored]) -> None:
    asyncio.run(_run_and_watch(history))


async def _run_and_watch(history: Iterable[Stored]) -> None:
    log = await log_of(history)
    imported = await log.last_sequence()
    cluster = PlayedKubernetes(lambda: NOW)
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


async def _watch(log: MemoryLog, cluster: PlayedKubernetes) -> None:
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
    log, ticks = await log_of(history), 1_000.0
    imported = await log.last_sequence()
    views = Views()
    knowledge = knowledge_of(views)
    fleet = Fleet(knowledge)
    async for event in log.read(*views.filters):
        if (view := views.apply(event)) is not None:
            knowledge.note(view, event, now=ticks - 60, wall=NOW)
            fleet.note(view.deployment_id)
    for seconds, batch in enumerate(measured(views), -30):
        knowledge.take(batch, at=ticks + seconds)
    appender = Appender(log, views, ticks=lambda: ticks)
    for name in tuple(knowledge.policies):
        outcome = knowledge.outcome(name, now=ticks, wall=NOW)
        if outcome is None:
            continue
        kept = KeptMemory.of(outcome.memory, now=outcome.now).model_dump(mode="json")
        written = Kept(present=outcome.present(), memory=kept).model_dump_json(exclude_defaults=True)
        assert read_kept(name, written.encode()) is not None
        if (fact := outcome.fact()) is not None:
            sentence_of(fact)
            await appender.append(views.by_id[name], fact, made_at=ticks, leads=lambda: True)
    fleet.shown(now=ticks)
    await assert_understood(log, imported)


def measured(views: Views) -> Iterator[Batch]:
    """All replicas have much to do."""
    named = [
        (view.deployment_id, one.replica_id, one.attempt)
        for view in views
        for one in view.roster.replicas
        if len(one.replica_id) == len(GOOD)
    ]
    usage = tuple(
        ReplicaUsage(
            deployment_id=deployment_id,
            replica_id=replica_id,
            attempt=attempt,
            ended_at=1.0,
            window_s=15,
            cpu_cores=10.0,
            memory_bytes=10.0**10,
            cpus=1.0,
            memory_gib=1.0,
        )
        for deployment_id, replica_id, attempt in named
    )
    common = {"source": "x", "counter_id": "x", "interval_s": 15, "ended_at": 0.0, "is_whole": True}
    yield Batch(kind=Kind.USAGE, number=1, usage=usage, **common)
    for number in (1, 2):
        requests = tuple(
            RequestTotals(deployment_id=name, answered=number * 100, duration_us=number * 10**12)
            for name in views.by_id
        )
        yield Batch(kind=Kind.REQUESTS, number=number, requests=requests, **common)
    in_flight = tuple(RequestsInFlight(deployment_id=name, in_flight=100.0) for name in views.by_id)
    yield Batch(kind=Kind.IN_FLIGHT, number=1, in_flight=in_flight, **common)
