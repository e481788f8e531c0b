"""What deciding costs: about 10,000 deployments at once, and a policy tried on a week, beside the published
controller's own test, and in CPU time, which other work on the machine changes least."""

import gc
import math
import random
from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median
from time import process_time

from benchmarks.figure import AtMost, Figure
from libs.common.autoscaling.replay import Capacity, LoadMinute, minutes_above_target, replay
from libs.common.bus.entries import MemoryEntries
from libs.common.events.deployment import DeploymentCreated, SpecRegistered
from libs.common.events.fact import Fact
from libs.common.events.replica import Replica, ReplicaState, RosterRecorded
from libs.common.events.rollout import LiveRun, SpecApplied, SpecHealthy
from libs.common.events.scaling import ReplicasDecided
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestTotals
from libs.common.scaling.cause import Cause as Why
from libs.common.spec.model import Autoscaling, Resources, Spec
from libs.common.state.replica import Roster
from libs.common.state.view import Views
from services.autoscaler.app import leave_alone_what_stays
from services.autoscaler.keeper import Keeper
from services.autoscaler.knowledge import Knowledge
from tests.support.deployments import a_view
from tests.support.scaling_story import BORN, CPUS, MACHINE_TYPE, MEMORY_GIB, knowledge_of

DEPLOYMENTS = 10_000
QUICK_DEPLOYMENTS = 1_000
REPLICAS = 2
EVERY_S = 15
ROUNDS = 6
PUBLISHED_S = 15.0 / 1_000
"""For each deployment, in the load test of the published controller: 1,000 in 15 s."""
WEEK = 7 * 24 * 60
BY_THREE = Autoscaling.model_validate(
    {
        "maxReplicas": 10,
        "metrics": [
            {"metric": "cpu", "value": 50},
            {"metric": "memory", "value": 50},
            {"metric": "requestDuration", "value": 0.15},
        ],
    }
)


def names(number: int) -> list[str]:
    return [f"{place:032x}" for place in range(number)]


def facts() -> list[Fact]:
    """Of a deployment that scales by three metrics and has two ready replicas by a decision."""
    spec_id, run_id = "spec-1", "run-1"
    resources = Resources(machine_type=MACHINE_TYPE, ports=(8000,), replicas=1, autoscaling=BY_THREE)
    replicas = tuple(
        Replica(
            replica_id=f"r{slot}",
            slot=slot,
            run_id=run_id,
            spec_id=spec_id,
            state=ReplicaState.RUNNING,
            created_at=BORN,
            started_at=BORN,
            ready_at=BORN,
        )
        for slot in range(REPLICAS)
    )
    return [
        DeploymentCreated(name="demo"),
        SpecRegistered(
            spec_id=spec_id,
            run_id=run_id,
            spec=Spec(name="demo", image="example/app:1.0", resources=resources),
            scaling_since=spec_id,
        ),
        SpecApplied(spec_id=spec_id, run_id=run_id, runs=(LiveRun(run_id=run_id, spec_id=spec_id),)),
        SpecHealthy(spec_id=spec_id, run_id=run_id, replicas=1),
        RosterRecorded(page=0, pages=1, replicas=replicas),
        ReplicasDecided(
            spec_id=spec_id,
            stretch_id=spec_id,
            from_replicas=1,
            to_replicas=REPLICAS,
            floor=1,
            policy=BY_THREE,
            reason=Why.METRIC_ABOVE_TARGET,
        ),
    ]


def known(deployments: Sequence[str], *, now: float) -> Knowledge:
    knowledge, view = knowledge_of(Views()), a_view(facts(), deployment_id="d")
    for name in deployments:
        # Each has a roster of its own, as it would have from the log.
        own = replace(view, deployment_id=name, roster=Roster(dict(view.roster.pages)))
        knowledge.note(knowledge.views.put(own), None, now=now, wall=BORN)
    return knowledge


def batches(
    deployments: Sequence[str], number: int, wall: datetime, *, busy: Container[str] = ()
) -> tuple[Batch, Batch]:
    """busy: those that use twice as much of their processors as they should."""
    base = {"counter_id": "c", "number": number, "ended_at": wall.timestamp(), "is_whole": True}
    usage = tuple(
        ReplicaUsage(
            deployment_id=name,
            replica_id=f"r{slot}",
            attempt=0,
            ended_at=wall.timestamp(),
            window_s=EVERY_S,
            cpu_cores=(1.0 if name in busy else 0.5) * CPUS,
            memory_bytes=round(0.5 * MEMORY_GIB * 2**30),
            cpus=CPUS,
            memory_gib=MEMORY_GIB,
        )
        for name in deployments
        for slot in range(REPLICAS)
    )
    requests = tuple(
        RequestTotals(deployment_id=name, answered=number * 100, duration_us=number * 15_000_000)
        for name in deployments
    )
    return (
        Batch(kind=Kind.USAGE, source="health", interval_s=EVERY_S, usage=usage, **base),
        Batch(kind=Kind.REQUESTS, source="edge", interval_s=EVERY_S, requests=requests, **base),
    )


def deciding(number: int) -> tuple[float, float]:
    """Seconds of CPU to take in what was measured of so many, and to decide about all of them."""
    deployments, now, wall = names(number), 10_000.0, BORN
    knowledge = known(deployments, now=now)
    keeper = Keeper(MemoryEntries(), ticks=lambda: now)
    leave_alone_what_stays()
    taking, deciding = [], []
    for place in range(1, ROUNDS + 1):
        now, wall = now + EVERY_S, wall + timedelta(seconds=EVERY_S)
        measured = batches(deployments, place, wall)
        start = process_time()
        for batch in measured:
            knowledge.take(batch, at=now)
        taking.append(process_time() - start)
        start = process_time()
        for name in deployments:
            outcome = knowledge.outcome(name, now=now, wall=wall)
            if outcome is None or outcome.reasoned.unknown or outcome.fact() is not None:
                raise RuntimeError(f"{name} was not decided as it should be: {outcome}")
            knowledge.memories[name] = outcome.memory
            keeper.note(name, outcome)
        deciding.append(process_time() - start)
    gc.unfreeze()
    return median(taking), median(deciding)


def week() -> list[LoadMinute]:
    """Up and down by day and night, around what four replicas bear, with noise of a fixed seed."""
    noise = random.Random(7)
    level = [
        2 * CPUS * (1 + 0.6 * math.sin(minute / 229)) * noise.uniform(0.8, 1.2) for minute in range(WEEK)
    ]
    return [
        LoadMinute(
            60.0 * (minute + 1),
            cpu_cores=cores,
            memory_bytes=0.4 * MEMORY_GIB * 2**30,
            answered=600.0,
            duration_us=600 * 100_000.0,
            in_flight=cores,
            in_flight_most=2 * cores,
        )
        for minute, cores in enumerate(level)
    ]


def trying() -> float:
    """Seconds of CPU for a week by three metrics, both sides summed up."""
    minutes, capacity = week(), Capacity(CPUS, MEMORY_GIB * 2**30)
    start = process_time()
    numbers = replay(BY_THREE, minutes, floor=1, begin=4, capacity=capacity, request_window_s=300)
    for _ in range(2):
        minutes_above_target(numbers, minutes, BY_THREE, capacity)
    took = process_time() - start
    if max(numbers) < 4:
        raise RuntimeError(f"at most {max(numbers)} replicas came of it")
    return took


async def measure(*, quick: bool = False) -> list[Figure]:
    number = QUICK_DEPLOYMENTS if quick else DEPLOYMENTS
    taking, decided = deciding(number)
    share = number / DEPLOYMENTS
    about = f"{number:,} deployments of {REPLICAS} replicas by 3 metrics"
    return [
        Figure(
            f"{about} decided, CPU",
            decided,
            "s",
            PUBLISHED_S * number,
            "the published controller's load test",
            AtMost(2.0 * share),
        ),
        Figure(f"{about} taken in, CPU", taking, "s"),
        Figure("a policy tried on 7 days with 4 replicas, CPU", trying(), "s", aim=AtMost(2.0)),
    ]
