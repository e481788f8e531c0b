"""The state at a moment of the past, from the newest event of each subject, is what all events give."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from libs.common.clock import to_rfc3339
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.rollout import LiveRun, SpecApplied, SpecFailed, SpecFailedReason, SpecHealthy
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Loaded
from libs.common.log.timeline import Timeline
from libs.common.state import view
from services.api.readmodels.past import deployment_at
from services.api.readmodels.records import DeploymentRecord, SpecRecord
from tests.support.deployments import a_spec
from tests.support.strategies import EPOCH, facts, names

DEPLOYMENT = "d" * 32
CAUSE = Cause("key:default", "c")

REPLICA_FACTS = ("ReplicaStarted", "ReplicaBecameReady", "ReplicaBecameUnready", "ReplicaStopped")
OTHERS = ("ReplicasRetiring", "WorkloadRemoved", "RolloutProgressed", "EndpointsWithdrawn", *REPLICA_FACTS)


@st.composite
def stories(draw: st.DrawFn) -> list[Fact]:
    """What the services can have said of one deployment, in order.

    The reconciler's guard holds that it never says anything of a spec after it spoke of a newer one.
    """
    told: list[Fact] = [DeploymentCreated(name=draw(names))]
    registered = 0
    spoken_of = 0
    for step in draw(st.lists(st.integers(0, 9), max_size=25)):
        match step:
            case 0 | 1:
                registered += 1
                spec = a_spec(name=draw(names), replicas=registered, enabled=draw(st.booleans()))
                told.append(SpecRegistered(spec_id=f"s{registered}", run_id=_run(registered), spec=spec))
            case 2 | 3 | 4 | 5 if registered:
                spoken_of = draw(st.integers(max(spoken_of, 1), registered))
                told.append(_of_spec(step, spoken_of, draw(st.text(max_size=3))))
            case 6:
                told.append(DeploymentDeleted(name="demo"))
            case _:
                told.append(draw(facts(*OTHERS)))
    return told


def _run(number: int) -> str:
    return f"run-{number % 2}"


def _of_spec(step: int, number: int, message: str) -> Fact:
    spec_id, run_id = f"s{number}", _run(number)
    match step:
        case 2 | 3:
            runs = (LiveRun(run_id=run_id, spec_id=spec_id),)
            return SpecApplied(spec_id=spec_id, run_id=run_id, runs=runs)
        case 4:
            return SpecHealthy(spec_id=spec_id, run_id=run_id, replicas=1)
        case _:
            return SpecFailed(spec_id=spec_id, reason=SpecFailedReason.CANNOT_APPLY, message=message)


class CountedLog(MemoryLog):
    """read_events: how many it gave to reads; loads may give as many as there are subjects."""

    read_events = 0

    async def read(self, *filters: str, after: int = 0, until: int | None = None) -> AsyncIterator[Recorded]:
        async for event in super().read(*filters, after=after, until=until):
            self.read_events += 1
            yield event

    async def load(self, *filters: str, until: int | None = None) -> Loaded:
        loaded = await super().load(*filters, until=until)
        assert len({event.subject for event in loaded.events}) == len(loaded.events)
        return loaded


async def log_of(story: list[Fact]) -> CountedLog:
    ticks = iter(range(1_000_000))
    log = CountedLog(lambda: EPOCH + timedelta(seconds=next(ticks)))
    heads: dict = {}
    for fact in story:
        draft = Draft(Aggregate("default", fact.aggregate, DEPLOYMENT), fact)
        heads |= (await log.append([draft], heads=heads, cause=CAUSE)).heads
    return log


async def by_all_events(log: MemoryLog, sequence: int) -> tuple[DeploymentRecord | None, int]:
    """The same from every event up to there."""
    events = [event async for event in log.read(select(aggregate_id=DEPLOYMENT), until=sequence)]
    then = view.fold(events)
    if then is None or then.deployment is None or not then.deployment.exists:
        return None, 0
    created = next(e for e in events if isinstance(e.fact, DeploymentCreated))
    record = DeploymentRecord(
        id=DEPLOYMENT,
        sequence=created.sequence,
        project_id="default",
        name=then.deployment.name,
        created_at=to_rfc3339(created.time),
        spec=_latest_spec(events),
        runs=tuple(run.run_id for run in then.rollout.runs),
        retiring=then.rollout.retiring,
    )
    ready = then.roster.ready(then.deployment.run_id)
    return record, sum(replica.replica_id not in then.rollout.retiring for replica in ready)


def _latest_spec(events: list[Recorded]) -> SpecRecord | None:
    registered = [e for e in events if isinstance(e.fact, SpecRegistered)]
    if not registered:
        return None
    event = registered[-1]
    fact = event.fact
    assert isinstance(fact, SpecRegistered)
    applied = healthy = error = None
    for later in events:
        match later.fact:
            case SpecApplied(spec_id=fact.spec_id):
                applied, error = applied or to_rfc3339(later.time), None
            case SpecHealthy(spec_id=fact.spec_id):
                healthy = healthy or to_rfc3339(later.time)
            case SpecFailed(spec_id=fact.spec_id, message=message):
                error = message
    return SpecRecord(
        id=fact.spec_id,
        sequence=event.sequence,
        deployment_id=DEPLOYMENT,
        run_id=fact.run_id,
        user_id=event.cause.actor,
        data=fact.spec.to_wire(),
        created_at=to_rfc3339(event.time),
        applied_at=applied,
        healthy_at=healthy,
        error=error,
    )


@given(stories())
def test_at_every_sequence(story: list[Fact]):
    async def compare() -> None:
        log = await log_of(story)
        for sequence in range(len(story) + 2):
            assert await deployment_at(log, DEPLOYMENT, sequence, Timeline()) == await by_all_events(
                log, sequence
            )

    asyncio.run(compare())


async def test_no_history_is_read_for_it():
    """However many specs and events of them there are, two events are read beside the load."""
    story: list[Fact] = [DeploymentCreated(name="demo")]
    for number in range(1, 200):
        story.append(SpecRegistered(spec_id=f"s{number}", run_id=_run(number), spec=a_spec()))
        story += [_of_spec(step, number, "") for step in (2, 3, 4)]
    log = await log_of(story)
    for sequence in (3, 400, len(story)):
        log.read_events = 0
        record, _ = await deployment_at(log, DEPLOYMENT, sequence, Timeline())
        assert record is not None
        assert record.spec is not None
        assert log.read_events <= 2
    assert record.spec.applied_at == to_rfc3339(EPOCH + timedelta(seconds=len(story) - 3))
