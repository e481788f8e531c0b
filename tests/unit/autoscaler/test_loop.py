"""From a measurement to a stored decision, over fakes of the log, the samples and the bucket."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from libs.common.autoscaling.kept import KeptReasoning
from libs.common.bus.entries import MemoryEntries
from libs.common.clock import monotonic
from libs.common.errors import LogUnavailable
from libs.common.events.envelope import Aggregate, Draft
from libs.common.events.scaling import ReplicasDecided
from libs.common.log.memory import MemoryLog
from libs.common.metrics.port import MemorySamples
from libs.common.scaling.hpa_decision import Cause
from tests.support.autoscaling import ADDRESS, Autoscaler, Source, decisions, deployed
from tests.support.deployments import CAUSE, Storyteller
from tests.support.polling import eventually, let_others_run, let_time_pass
from tests.support.scaling_story import BORN, by_cpu


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def samples():
    return MemorySamples()


async def test_a_measurement_becomes_a_decision_and_its_reasoning_is_kept(log, samples):
    story, entries = await deployed(log), MemoryEntries()
    async with Autoscaler(log, samples, entries).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        await Source(samples).use(story.deployment_id, "r1", percent=84)
        (fact,) = await eventually(lambda: decisions(log))
        assert (fact.from_replicas, fact.to_replicas, fact.winner, fact.stretch_id) == (1, 2, "cpu", "spec-1")
        assert (fact.metrics[0].value, fact.metrics[0].ratio) == (84, 1.68)
        kept = KeptReasoning(entries)

        async def is_kept() -> bool:
            present = await kept.present(story.deployment_id)
            return present is not None and present.current == 2

        await eventually(is_kept)


async def test_a_copy_that_does_not_lead_decides_nothing_and_knows_all_when_it_does(log, samples):
    story, leads = await deployed(log), [False]
    async with Autoscaler(log, samples, leads=lambda: leads[0]).running() as autoscaler:
        await eventually(lambda: autoscaler.progress.is_ready)
        await Source(samples).use(story.deployment_id, "r1", percent=84)
        await eventually(lambda: autoscaler.knowledge.heard_at)
        await let_others_run(100)
        assert await decisions(log) == []
        leads[0] = True
        assert len(await eventually(lambda: decisions(log))) == 1


async def test_two_that_both_think_they_lead_make_one_history(log, samples):
    story = await deployed(log)
    one, other = Autoscaler(log, samples), Autoscaler(log, samples)
    async with one.running(), other.running():
        for autoscaler in (one, other):
            await eventually(lambda a=autoscaler: story.deployment_id in a.knowledge.policies)
        source = Source(samples)
        for _ in range(5):
            await source.use(story.deployment_id, "r1", percent=84)
            await let_others_run(50)
        await eventually(lambda: decisions(log))
        await let_others_run(200)
    found = await decisions(log)
    for before, after in itertools.pairwise(found):
        assert after.from_replicas == before.to_replicas


class SlowLog(MemoryLog):
    """Its answers take as long as the test likes."""

    def __init__(self) -> None:
        super().__init__()
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.may_follow = asyncio.Event()
        self.may_follow.set()
        self.is_asked = asyncio.Event()
        self.is_away = False

    async def load(self, *filters, until=None):
        self.is_asked.set()
        await self.may_load.wait()
        return await super().load(*filters, until=until)

    async def follow(self, *how, **more):
        await self.may_follow.wait()
        async for batch in super().follow(*how, **more):
            yield batch

    async def append(self, drafts, **how):
        if self.is_away and drafts[0].aggregate.kind == "scaling":
            raise LogUnavailable("away")
        return await super().append(drafts, **how)


async def test_a_decision_that_is_too_old_when_it_is_to_be_stored_is_thrown_away_and_made_anew():
    log, now = SlowLog(), [1_000_000.0]

    def clock():
        return BORN + timedelta(seconds=now[0])

    samples = MemorySamples(clock=clock)
    story = await deployed(log)
    async with Autoscaler(log, samples, ticks=lambda: now[0], clock=clock).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        log.may_load.clear()
        log.is_asked.clear()
        source = Source(samples)
        await source.use(story.deployment_id, "r1", percent=84)
        await log.is_asked.wait()
        now[0] += 60
        log.may_load.set()
        await let_others_run(100)
        # A minute later that measurement is nothing any more, and nobody knows.
        assert await decisions(log) == []
        await source.use(story.deployment_id, "r1", percent=84)
        await eventually(lambda: decisions(log))


async def test_a_decision_of_a_copy_that_leads_no_more_when_it_is_to_be_stored_is_thrown_away(samples):
    """As soon as it leads again it decides anew: no time passes here."""
    log, leads = SlowLog(), [True]
    story = await deployed(log)
    now = monotonic()
    async with Autoscaler(log, samples, leads=lambda: leads[0], ticks=lambda: now).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        log.may_load.clear()
        log.is_asked.clear()
        await Source(samples).use(story.deployment_id, "r1", percent=84)
        await log.is_asked.wait()
        leads[0] = False
        log.may_load.set()
        await let_others_run(100)
        assert await decisions(log) == []
        leads[0] = True
        assert len(await eventually(lambda: decisions(log))) == 1


async def test_a_decision_that_another_one_came_before_is_thrown_away(samples):
    """It rests on a number that is in force no more."""
    log = SlowLog()
    story = await deployed(log)
    async with Autoscaler(log, samples).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        log.may_load.clear()
        log.is_asked.clear()
        await Source(samples).use(story.deployment_id, "r1", percent=84)
        await log.is_asked.wait()
        other = ReplicasDecided(
            spec_id="spec-1",
            stretch_id="spec-1",
            from_replicas=1,
            to_replicas=3,
            floor=1,
            policy=by_cpu(50),
            reason=Cause.METRIC_ABOVE_TARGET,
        )
        aggregate = Aggregate(story.project_id, other.aggregate, story.deployment_id)
        await log.append([Draft(aggregate, other)], heads={}, cause=CAUSE)
        log.may_load.set()
        await let_others_run(100)
        numbers = [(one.from_replicas, one.to_replicas) for one in await decisions(log)]
        assert numbers[0] == (1, 3)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(numbers)), numbers


async def test_past_changes_count_from_when_they_were_made_and_older_ones_not_at_all(samples):
    now = [BORN]
    log = MemoryLog(clock=lambda: now[0])
    story = await deployed(log)
    for number, (age_s, each) in enumerate(((1900, 1), (100, 2), (40, 3)), 1):
        now[0] = BORN + timedelta(seconds=2000 - age_s)
        fact = ReplicasDecided(
            spec_id="spec-1",
            stretch_id="spec-1",
            from_replicas=number,
            to_replicas=number + each,
            floor=1,
            policy=by_cpu(50),
            reason=Cause.METRIC_ABOVE_TARGET,
        )
        await story.tell(fact)
    now[0] = BORN + timedelta(seconds=2000)
    autoscaler = Autoscaler(log, samples, clock=lambda: now[0], ticks=lambda: 5000.0)
    async with autoscaler.running():
        await eventually(lambda: autoscaler.progress.is_ready)
        changes = autoscaler.knowledge.memories[story.deployment_id].hpa.changes
        assert [(one.by, one.at) for one in changes] == [(2, 4900), (3, 4960)]


async def test_what_was_measured_before_a_start_counts_though_the_log_takes_longer_to_read(samples):
    """Else nothing would be known until the next measurement, which comes after 15 s."""
    log = SlowLog()
    story = await deployed(log)
    await Source(samples).use(story.deployment_id, "r1", percent=84)
    log.may_follow.clear()
    async with Autoscaler(log, samples).running():
        await let_others_run(100)
        log.may_follow.set()
        # Nothing more is measured here.
        assert len(await eventually(lambda: decisions(log))) == 1


async def test_a_log_that_is_away_is_waited_for(samples):
    log = SlowLog()
    story = await deployed(log)
    async with Autoscaler(log, samples).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        log.is_away = True
        source = Source(samples)
        await source.use(story.deployment_id, "r1", percent=84)
        await let_time_pass(0.2)
        assert await decisions(log) == []
        assert autoscaler.progress.set_aside == {}
        log.is_away = False
        await source.use(story.deployment_id, "r1", percent=84)
        await eventually(lambda: decisions(log))


class Away(MemoryEntries):
    async def get(self, _):
        raise LogUnavailable("the bucket is gone")

    async def get_many(self, _):
        raise LogUnavailable("the bucket is gone")

    async def put(self, *_, **__):
        raise LogUnavailable("the bucket is gone")


async def test_without_the_bucket_the_log_suffices(log, samples):
    story = await deployed(log)
    async with Autoscaler(log, samples, Away()).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        await Source(samples).use(story.deployment_id, "r1", percent=84)
        await eventually(lambda: decisions(log))


async def test_what_is_unknown_is_told_in_the_heartbeat_and_it_stays_ready(log, samples):
    story = await deployed(log)
    async with Autoscaler(log, samples).running() as autoscaler:
        progress = autoscaler.progress
        await eventually(lambda: progress.detail.get("unknown") == 1)
        assert (progress.is_ready, progress.detail["autoscaled"]) == (True, 1)
        await Source(samples).use(story.deployment_id, "r1", percent=50)
        await eventually(lambda: progress.detail.get("unknown") == 0)
        assert await decisions(log) == []


async def test_the_rates_count_the_changes_that_the_log_has_from_before_a_restart(log, samples):
    slowly = by_cpu(
        50, behavior={"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]}}
    )
    story = Storyteller(log)
    await story.autoscale(slowly)
    await story.ready("r1", ADDRESS)
    async with Autoscaler(log, samples).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        await Source(samples).use(story.deployment_id, "r1", percent=500)
        assert (await eventually(lambda: decisions(log)))[0].to_replicas == 2
    samples = MemorySamples()
    async with Autoscaler(log, samples).running() as autoscaler:
        await eventually(lambda: autoscaler.progress.is_ready)
        (change,) = autoscaler.knowledge.memories[story.deployment_id].hpa.changes
        assert change.by == 1
        await Source(samples).use(story.deployment_id, "r1", percent=500)
        await eventually(lambda: autoscaler.progress.detail.get("unknown") == 0)
        await let_others_run(50)
        assert len(await decisions(log)) == 1
