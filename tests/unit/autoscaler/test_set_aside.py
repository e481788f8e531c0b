"""One deployment that cannot be handled does not keep the autoscaler from all others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from libs.common.autoscaling.usage import INTERVALS
from libs.common.clock import Ticks, monotonic
from libs.common.events.deployment import SpecRegistered
from libs.common.events.envelope import Recorded
from libs.common.log.memory import MemoryLog
from libs.common.metrics.port import MemorySamples
from libs.common.set_aside import PAUSES
from tests.support.autoscaling import USAGE_EVERY_S, Autoscaler, Source, deployed
from tests.support.deployments import Storyteller
from tests.support.poison import PoisonedLog, PoisonError
from tests.support.polling import eventually, let_others_run
from tests.support.scaling_story import by_cpu


async def test_others_go_on_it_is_named_and_comes_back() -> None:
    log = PoisonedLog(MemoryLog())
    sick, well = Storyteller(log), Storyteller(log)
    await sick.create()
    log.poisoned = {sick.deployment_id}
    async with Autoscaler(log).running() as autoscaler:
        progress, views = autoscaler.progress, autoscaler.views
        await eventually(lambda: progress.is_ready)
        await well.create()
        await eventually(lambda: well.deployment_id in views.by_id)
        (shown,) = progress.set_aside.values()
        assert (shown.subject, shown.reason) == (sick.deployment_id, "follow: PoisonError")
        await sick.register(spec_id="spec-2")
        log.poisoned = set()
        await eventually(lambda: not progress.set_aside)
        deployment = views.by_id[sick.deployment_id].deployment
        assert deployment is not None
        assert (deployment.is_created, deployment.spec_id) == (True, "spec-2")


async def test_a_policy_that_no_spec_may_have_keeps_the_autoscaler_from_nobody_else() -> None:
    """It came with an import: whoever makes up a history chooses every number in it. Its spec is not
    understood, so nothing is to be set aside."""
    log = MemoryLog()
    sick = Storyteller(log)
    await sick.autoscale(by_cpu().model_copy(update={"max_replicas": 0}))
    well = await deployed(log)
    async with Autoscaler(log).running() as autoscaler:
        progress, policies = autoscaler.progress, autoscaler.knowledge.policies
        await eventually(lambda: progress.is_ready)
        assert policies.keys() == {well.deployment_id}
        assert not progress.set_aside
        await sick.autoscale(by_cpu(), spec_id="spec-2")
        await eventually(lambda: policies.keys() == {sick.deployment_id, well.deployment_id})


class WithoutRules(PoisonedLog):
    """The policies of the poisoned go by nothing, which no reader of an event lets pass."""

    def _given(self, event: Recorded) -> Recorded:
        fact = event.fact
        if event.aggregate.id not in self.poisoned or not isinstance(fact, SpecRegistered):
            return event
        nothing = by_cpu().model_copy(update={"metrics": ()})
        resources = fact.spec.resources.model_copy(update={"autoscaling": nothing})
        spec = fact.spec.model_copy(update={"resources": resources})
        return replace(event, fact=fact.model_copy(update={"spec": spec}))


async def test_a_view_that_cannot_be_noted_at_the_start_is_set_aside_alone() -> None:
    log = WithoutRules(MemoryLog())
    sick, well = await deployed(log), await deployed(log)
    log.poisoned = {sick.deployment_id}
    async with Autoscaler(log).running() as autoscaler:
        progress, policies = autoscaler.progress, autoscaler.knowledge.policies
        await eventually(lambda: progress.is_ready)
        assert policies.keys() == {well.deployment_id}
        (shown,) = progress.set_aside.values()
        assert shown.subject == sick.deployment_id
        assert shown.reason.startswith("follow: ValueError: metrics is empty")
        log.poisoned = set()
        await eventually(lambda: not progress.set_aside)
        assert policies.keys() == {sick.deployment_id, well.deployment_id}


@asynccontextmanager
async def one_is_refused(
    leads: Callable[[], bool] = lambda: True, ticks: Ticks = monotonic
) -> AsyncIterator[tuple[PoisonedLog, Storyteller, Source, Autoscaler]]:
    """An autoscaler that knows a deployment of which the log takes no decision."""
    log, samples = PoisonedLog(MemoryLog()), MemorySamples()
    story = await deployed(log)
    log.refused = {story.deployment_id}
    async with Autoscaler(log, samples, leads=leads, ticks=ticks).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        yield log, story, Source(samples), autoscaler


async def test_a_copy_that_leads_no_more_shows_nothing_of_what_it_set_aside() -> None:
    leads = [True]
    async with one_is_refused(leads=lambda: leads[0]) as (_, story, source, autoscaler):
        shown = autoscaler.progress.set_aside
        await source.use(story.deployment_id, "r1", percent=84)
        await eventually(lambda: [one.reason for one in shown.values()] == ["append: PoisonError"])
        leads[0] = False
        await eventually(lambda: not shown)


async def test_one_that_scales_by_load_no_more_is_not_shown_any_more() -> None:
    async with one_is_refused() as (log, story, source, autoscaler):
        shown = autoscaler.progress.set_aside
        await source.use(story.deployment_id, "r1", percent=84)
        await eventually(lambda: shown)
        log.refused = set()
        await story.register(spec_id="spec-2")
        await eventually(lambda: story.deployment_id not in autoscaler.knowledge.policies)
        await eventually(lambda: not shown)


async def test_a_decision_that_cannot_be_appended_stays_set_aside_though_it_is_made_again() -> None:
    later_s = 0.0
    async with one_is_refused(ticks=lambda: monotonic() + later_s) as (_, story, source, autoscaler):
        shown = autoscaler.progress.set_aside

        async def is_tried_again() -> bool:
            await source.use(story.deployment_id, "r1", percent=84)
            return any(one.attempts == 3 for one in shown.values())

        await eventually(is_tried_again)
        later_s = INTERVALS * USAGE_EVERY_S + 1  # nothing is known any more, and so nothing decided
        await eventually(lambda: not shown)


async def test_what_is_new_while_it_rests_counts_as_soon_as_it_has_rested() -> None:
    now = 1000.0
    async with one_is_refused(ticks=lambda: now) as (log, story, source, autoscaler):
        shown = autoscaler.progress.set_aside
        await source.use(story.deployment_id, "r1", percent=84)
        await eventually(lambda: shown)
        log.refused = set()
        await source.use(story.deployment_id, "r1", percent=84)
        await let_others_run()
        now += PAUSES.pause_s(1)
        await eventually(lambda: not shown)


class LateRefusal(PoisonedLog):
    """What is appended of decisions is refused, once the test says so."""

    def __init__(self, log: Any) -> None:
        super().__init__(log)
        self.is_asked = asyncio.Event()
        self.may_refuse = asyncio.Event()

    async def append(self, drafts: Any, **how: Any) -> Any:
        if drafts[0].aggregate.kind != "scaling":
            return await super().append(drafts, **how)
        self.is_asked.set()
        await self.may_refuse.wait()
        raise PoisonError("nothing can be appended")


async def test_one_whose_decision_fails_when_it_scales_by_load_no_more() -> None:
    log, samples = LateRefusal(MemoryLog()), MemorySamples()
    story = await deployed(log)
    async with Autoscaler(log, samples).running() as autoscaler:
        await eventually(lambda: story.deployment_id in autoscaler.knowledge.policies)
        await Source(samples).use(story.deployment_id, "r1", percent=84)
        await log.is_asked.wait()
        await story.register(spec_id="spec-2")
        await eventually(lambda: story.deployment_id not in autoscaler.knowledge.policies)
        log.may_refuse.set()
        await let_others_run(100)
        assert autoscaler.progress.set_aside == {}
