"""Whatever is killed, lost, doubled or set: beside a twin that nothing happens to, under the same load.

On a clock that the test moves. A seed that fails is printed by hypothesis and kept.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.spec.model import Autoscaling
from tests.support.scaling_story import CPUS, Story, by_concurrency, by_cpu, by_duration


class Fault(StrEnum):
    ALL_KILLED = "all_killed"
    """The autoscaler knows what the facts say, and nothing else."""
    SILENT = "silent"
    """Nothing is measured, for a few steps."""
    DOUBLED = "doubled"
    """Each batch comes twice."""
    STALE = "stale"
    """The batch of before comes again, and no new one."""
    AN_HOUR_LATER = "an_hour_later"
    AN_HOUR_EARLIER = "an_hour_earlier"


faults = st.lists(st.tuples(st.sampled_from(Fault), st.integers(1, 12)), max_size=6)
loads = st.lists(st.integers(1, 4), min_size=3, max_size=3)


@dataclass(frozen=True)
class Measured:
    """A policy, and the load by which it is measured.

    step_s: how often that is, and so how often is decided. settles_s: within which a load that goes on has
    the number that it asks for. measure: the load that so many replicas just bear.
    """

    autoscaling: Autoscaling
    step_s: float
    settles_s: float
    measure: Callable[[Story, float], None]
    settings: dict[str, float] = field(default_factory=dict)

    @property
    def silent_s(self) -> float:
        """After three intervals and the step in which it is noticed nothing may fall."""
        return 4 * self.step_s

    def story(self) -> Story:
        return Story(self.autoscaling, settings=self.settings)

    def go_on(self, story: Story, load: float) -> None:
        story.pass_time(self.step_s)
        self.measure(story, load)
        story.decide()


NEARLY_FULL = 0.95
TARGET_S = 0.15
WINDOW_S = 30
"""What request durations are averaged over, and how long the highest number of it holds."""
DELAY_S = 5
"""Before each step down, by requests in flight; their window is 10 s."""


def use(story: Story, load: float) -> None:
    story.use(cpu=0.5 * NEARLY_FULL * load * CPUS)


def carry(story: Story, load: float) -> None:
    story.carry(NEARLY_FULL * load)


def answer(story: Story, load: float) -> None:
    """The more replicas share the load, the faster each answer comes."""
    story.answer(10, each_s=TARGET_S * NEARLY_FULL * load / story.in_force)


def down_after(window_s: int) -> dict[str, object]:
    return {"scaleDown": {"stabilizationWindowSeconds": window_s}}


POLICIES = {
    "cpu": Measured(by_cpu(50), step_s=15, settles_s=300, measure=use),
    "cpu with a short window": Measured(
        by_cpu(50, behavior=down_after(0)), step_s=15, settles_s=300, measure=use
    ),
    "requests in flight": Measured(
        by_concurrency(
            target=1, targetUtilizationPercentage=100, windowSeconds=10, scaleDownDelaySeconds=DELAY_S
        ),
        step_s=1,
        # A window until the average has it and another one in panic, then at most three steps.
        settles_s=2 * 10 + 3 * DELAY_S,
        measure=carry,
    ),
    "duration": Measured(
        by_duration(TARGET_S, behavior=down_after(WINDOW_S)),
        step_s=5,
        # A window between one step and the next, and there are at most three.
        settles_s=4 * WINDOW_S,
        measure=answer,
        settings={"request_window_s": WINDOW_S},
    ),
}


class Disturbed:
    """A story, and how long ago it was last measured."""

    def __init__(self, policy: Measured) -> None:
        self.policy = policy
        self.story = policy.story()
        self.measured_at = self.story.now

    def step(self, fault: Fault | None, load: float) -> None:
        story = self.story
        story.pass_time(self.policy.step_s)
        before = story.in_force
        if fault is Fault.STALE and story.measured:
            story.measure(story.measured[-1].batch)
        elif fault is not Fault.SILENT:
            self.policy.measure(story, load)
            if fault is Fault.DOUBLED:
                story.measure(story.measured[-1].batch)
            self.measured_at = story.now
        story.decide()
        assert 1 <= story.in_force <= 10
        if story.in_force < before:
            assert story.now - self.measured_at < self.policy.silent_s, "it fell without measurements"
            # What was measured of more replicas than are left, a policy without a window takes for less load.
            is_of_now = self.measured_at == story.now
            assert story.in_force >= load or not is_of_now, "it fell below what the load asks for"

    def strike(self, fault: Fault) -> None:
        match fault:
            case Fault.ALL_KILLED:
                self.story.restart()
                self.measured_at += 1_000_000.0
            case Fault.AN_HOUR_LATER:
                self.story.wall += timedelta(hours=1)
            case Fault.AN_HOUR_EARLIER:
                self.story.wall -= timedelta(hours=1)
            case _:
                pass


def one_history(story: Story) -> None:
    numbers = [(fact.from_replicas, fact.to_replicas) for _, fact in story.decisions]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(numbers)), numbers


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=40)
@given(struck=faults, levels=loads)
def test_it_ends_where_an_undisturbed_twin_does(name, struck, levels):
    """After each fault, and the load that goes on, both are the same once it may have settled."""
    policy = POLICIES[name]
    disturbed, twin = Disturbed(policy), policy.story()
    for level in levels:
        for fault, steps in struck:
            disturbed.strike(fault)
            for _ in range(steps):
                disturbed.step(fault, level)
                policy.go_on(twin, level)
        for _ in range(round((policy.settles_s + policy.silent_s) / policy.step_s) + 1):
            disturbed.step(None, level)
            policy.go_on(twin, level)
        assert (disturbed.story.in_force, twin.in_force) == (level, level)
    one_history(disturbed.story)
