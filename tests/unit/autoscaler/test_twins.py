"""Whatever is killed, lost, doubled or set: beside a twin that nothing happens to, under the same load.

On a clock that the test moves. A seed that fails is printed by hypothesis and kept.
"""

import itertools
from datetime import timedelta
from enum import StrEnum

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.scaling_story import CPUS, Story, by_cpu

WINDOW_S = 300
STEP_S = 15
SILENT_S = 60
"""After three intervals and the step in which it is noticed nothing may fall."""


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


class Disturbed:
    """A story, and how long ago it was last measured."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.measured_at = story.now

    def step(self, fault: Fault | None, load: float) -> None:
        story = self.story
        story.pass_time(STEP_S)
        before = story.in_force
        if fault is Fault.STALE and story.measured:
            story.measure(story.measured[-1].batch)
        elif fault is not Fault.SILENT:
            measure(story, load)
            if fault is Fault.DOUBLED:
                story.measure(story.measured[-1].batch)
            self.measured_at = story.now
        story.decide()
        assert 1 <= story.in_force <= 10
        if story.in_force < before:
            assert story.now - self.measured_at < SILENT_S, "it fell without measurements"

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


def measure(story: Story, load: float) -> None:
    """The load that so many replicas just bear."""
    story.use(cpu=0.5 * 0.95 * load * CPUS)


def one_history(story: Story) -> None:
    numbers = [(fact.from_replicas, fact.to_replicas) for _, fact in story.decisions]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(numbers)), numbers


def both(story: Story, twin: Story, struck: list[tuple[Fault, int]], levels: list[int]) -> None:
    """After each fault, and the load that goes on, both are the same within a window."""
    disturbed = Disturbed(story)
    for level in levels:
        for fault, steps in struck:
            disturbed.strike(fault)
            for _ in range(steps):
                disturbed.step(fault, level)
                twin.pass_time(STEP_S)
                measure(twin, level)
                twin.decide()
        for _ in range((WINDOW_S + SILENT_S) // STEP_S + 1):
            disturbed.step(None, level)
            twin.pass_time(STEP_S)
            measure(twin, level)
            twin.decide()
        assert (story.in_force, twin.in_force) == (level, level)
    one_history(story)


@settings(max_examples=40)
@given(faults, loads)
def test_by_cpu_it_ends_where_an_undisturbed_twin_does(struck, levels):
    both(Story(by_cpu(50)), Story(by_cpu(50)), struck, levels)


@settings(max_examples=40)
@given(faults, loads)
def test_by_cpu_with_a_short_window_it_ends_where_an_undisturbed_twin_does(struck, levels):
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    both(Story(by_cpu(50, behavior=behavior)), Story(by_cpu(50, behavior=behavior)), struck, levels)
