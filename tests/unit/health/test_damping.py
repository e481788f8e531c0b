"""A replica whose readiness comes and goes, or that crashes again and again, for hours of its own clock."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.common.cluster.local.shim.back_off import next_back_off_s
from libs.common.cluster.port import Exit
from libs.common.events.replica import Replica, ReplicaFact, ReplicaState
from libs.common.state.replica import Roster, record
from services.health import damping, pacing
from services.health.changes import changed
from services.health.examination import NotReady, Ready
from services.health.verdicts import decide
from tests.unit.health.scene import EXITED, NOW, RUN, SENTENCE, STOPPING, Reason, shown

MOST_EVENTS_AN_HOUR = 120
HOUR = timedelta(hours=1)


class Story:
    """One replica, its checks and its process, and what health writes when anything changes."""

    def __init__(self) -> None:
        self.now = NOW
        """By the clock on the wall, which somebody may set."""
        self.ticks = 0.0
        """By the clock that nobody sets."""
        self.seen = shown(RUN)
        self.is_passing = False
        self.since = 0.0
        self.back_off_s: float | None = None
        self.roster = Roster()
        self.written: list[tuple[datetime, str]] = []
        self.look()

    @property
    def replica(self) -> Replica:
        return self.roster.replicas[0]

    def _conclusions(self) -> dict:
        conclusion = (
            Ready(Reason.PROBE_SUCCEEDED, self.ticks - self.since)
            if self.is_passing
            else NotReady(Reason.PROBE_FAILED, f"readiness probe: HTTP {500 + len(self.written) % 3}")
        )
        return {("r", self.seen.attempt): conclusion} if self.seen.phase is RUN else {}

    def look(self) -> list[ReplicaFact]:
        facts = decide(self.roster, [self.seen], self._conclusions(), now=self.now)
        pages, self.roster = record(self.roster, facts)
        self.written += [(self.now, fact.event_type()) for fact in (*pages, *facts)]
        return facts

    def wait(self, seconds: float) -> None:
        """With a look whenever one is due, as the watch's timer does."""
        until = self.ticks + seconds
        while waits_s := damping.held(self.roster, self._conclusions(), self.now).values():
            if self.ticks + min(waits_s) > until:
                break
            # As a timer does: not before it is due.
            self._pass(min(waits_s) + 1e-6)
            self.look()
        self._pass(max(0.0, until - self.ticks))

    def _pass(self, seconds: float) -> None:
        self.ticks += seconds
        self.now += timedelta(seconds=seconds)

    def check(self, *, passes: bool) -> list[ReplicaFact]:
        if passes and not self.is_passing:
            self.since = self.ticks
        self.is_passing = passes
        return self.look()

    def crash(self) -> None:
        """And come back when the cluster starts it again."""
        ran_s = (self.now - (self.seen.started_at or self.now)).total_seconds()
        self.back_off_s = next_back_off_s(self.back_off_s, ran_s)
        self.is_passing = False
        self.seen = replace(self.seen, phase=EXITED, last_exit=Exit(status=1))
        if self.back_off_s:
            self.look()
            self.wait(self.back_off_s)
        attempt = self.seen.attempt + 1
        self.seen = shown(RUN, attempt=attempt, last_exit=Exit(status=1), started_at=self.now)
        self.look()

    def condemn(self) -> None:
        """By its liveness check, after a period of it, and the reconciler has it end."""
        self.wait(10)
        self.is_passing = False
        facts = decide(self.roster, [self.seen], {("r", self.seen.attempt): SENTENCE}, now=self.now)
        pages, self.roster = record(self.roster, facts)
        self.written += [(self.now, fact.event_type()) for fact in (*pages, *facts)]
        self.wait(1)
        self.crash()

    def most_in_an_hour(self, *, with_pages: bool = True) -> int:
        times = [at for at, kind in self.written if with_pages or kind != "RosterRecorded"]
        return max(sum(first <= at < first + HOUR for at in times) for first in times)


def replace_of(story: Story, **changes: Any) -> Story:
    story.roster = Roster.of([changed(story.replica, **changes)])
    return story


def test_a_few_changes_count_at_once() -> None:
    story = Story()
    for _ in range(2):
        assert [f.event_type() for f in story.check(passes=True)] == ["ReplicaBecameReady"]
        story.wait(1)
        assert [f.event_type() for f in story.check(passes=False)] == ["ReplicaBecameUnready"]
        story.wait(1)
    assert story.check(passes=True)


def test_the_sixth_change_in_ten_minutes_makes_it_wait_longer_and_longer_and_says_so() -> None:
    story = Story()
    for _ in range(3):
        story.check(passes=True)
        story.wait(5)
        story.check(passes=False)
    waits = []
    for _ in range(8):
        assert story.replica.state is ReplicaState.UNREADY
        must_s = story.replica.must_stay_ready_s
        waits.append(must_s)
        message = f"unsteady: counts again once it has stayed ready for {must_s} s; readiness probe: HTTP 50"
        assert (story.replica.message or "").startswith(message)
        assert story.check(passes=True) == []
        story.wait(must_s - 1)
        assert story.replica.state is ReplicaState.UNREADY
        story.wait(1)
        assert (story.replica.state, story.replica.message) == (ReplicaState.RUNNING, None)
        assert [f.event_type() for f in story.check(passes=False)] == ["ReplicaBecameUnready"]
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


def test_an_interruption_begins_the_wait_anew_without_an_event() -> None:
    story = Story()
    for _ in range(3):
        story.check(passes=True)
        story.check(passes=False)
    for _ in range(20):
        assert story.check(passes=True) == []
        story.wait(9)
        assert story.check(passes=False) == []
        story.wait(1)
    assert story.check(passes=True) == []
    story.wait(10)
    assert story.replica.state is ReplicaState.RUNNING


def test_a_long_time_of_readiness_is_forgiven() -> None:
    story = Story()
    for _ in range(3):
        story.check(passes=True)
        story.check(passes=False)
    story.check(passes=True)
    story.wait(11 + damping.FORGIVEN_AFTER.total_seconds())
    story.check(passes=False)
    assert story.replica.must_stay_ready_s == 0
    assert (story.replica.message or "").startswith("readiness probe: HTTP 50")
    story.check(passes=True)
    assert story.replica.state is ReplicaState.RUNNING


def test_who_starts_again_knows_it_from_the_roster() -> None:
    """Only since when the checks succeed it does not know: that counts anew."""
    story = Story()
    for _ in range(3):
        story.check(passes=True)
        story.check(passes=False)
    story.check(passes=True)
    story.wait(9)
    story.since = story.ticks
    assert story.look() == []
    story.wait(9)
    assert story.replica.state is ReplicaState.UNREADY
    story.wait(1)
    assert story.replica.state is ReplicaState.RUNNING


@pytest.mark.parametrize("ready_for_s", [0.0, 0.5, 5, 11, 21, 61, 301, 601, 1801])
@pytest.mark.parametrize("unready_for_s", [0.0, 0.5, 30])
def test_one_that_flaps_evenly_writes_a_bounded_number_of_events(
    ready_for_s: float, unready_for_s: float
) -> None:
    story = Story()
    while story.now < NOW + 3 * HOUR and len(story.written) < 1000:
        story.check(passes=True)
        story.wait(max(ready_for_s, 0.1))
        story.check(passes=False)
        story.wait(max(unready_for_s, 0.1))
    assert story.most_in_an_hour() <= MOST_EVENTS_AN_HOUR


@pytest.mark.parametrize("ready_after_s", [None, 0.1, 5.0])
@pytest.mark.parametrize("runs_for_s", [0.2, 11.0, 61.0, 301.0, 601.0])
@pytest.mark.parametrize("is_condemned", [False, True])
def test_one_that_ends_evenly_writes_a_bounded_number_of_events(
    ready_after_s: float | None, runs_for_s: float, is_condemned: bool
) -> None:
    story = Story()
    while story.now < NOW + 3 * HOUR and len(story.written) < 1000:
        if ready_after_s is not None and ready_after_s < runs_for_s:
            story.wait(ready_after_s)
            story.check(passes=True)
            story.wait(runs_for_s - ready_after_s)
        else:
            story.wait(runs_for_s)
        (story.condemn if is_condemned else story.crash)()
    assert story.most_in_an_hour() <= MOST_EVENTS_AN_HOUR


_lasts = st.sampled_from([0.1, 1.0, 5.0, 11.0, 25.0, 61.0, 150.0, 310.0, 601.0, 1801.0])
_phases = st.lists(
    st.tuples(st.sampled_from(["ready", "unready", "crash", "condemned"]), _lasts), min_size=1, max_size=12
)


@settings(deadline=None, max_examples=40)
@example(
    # It ends, with other reasons each time, just after the cluster has forgiven it.
    phases=[("condemned", 1), ("condemned", 11), ("condemned", 590), ("condemned", 11)]
    + [("unready", lasts) for lasts in (0.5, 5, 2, 1, 0.5, 10.5)]
    + [("condemned", 9)]
)
@example(phases=[("crash", 0.5), ("condemned", 150), ("condemned", 601), ("condemned", 20)])
@given(phases=_phases)
def test_whatever_it_does_it_writes_a_bounded_number_and_is_never_ready_when_its_checks_are_not(
    phases: list[tuple[str, float]],
) -> None:
    story = Story()
    for _ in range(20):
        for what, lasts in phases:
            if what == "crash":
                story.crash()
            elif what == "condemned":
                story.condemn()
            else:
                story.check(passes=what == "ready")
            assert story.is_passing or story.replica.state is not ReplicaState.RUNNING
            story.wait(lasts)
            if story.now > NOW + 4 * HOUR:
                break
    assert story.most_in_an_hour() <= MOST_EVENTS_AN_HOUR


@settings(deadline=None, max_examples=20)
@given(phases=_phases)
def test_whatever_it_did_it_is_ready_and_told_as_it_is_once_it_lasts(
    phases: list[tuple[str, float]],
) -> None:
    story = Story()
    for what, lasts in phases * 3:
        if what in ("crash", "condemned"):
            story.crash()
        else:
            story.check(passes=what == "ready")
        story.wait(lasts)
    story.check(passes=True)
    story.wait(2 * damping.STAY.pause_s(9))
    assert (story.replica.state, story.replica.attempt) == (ReplicaState.RUNNING, story.seen.attempt)
    story.crash()
    story.wait(pacing.EACH.total_seconds() * pacing.FULL_FOR_READINESS)
    assert (story.replica.state, story.replica.attempt) == (ReplicaState.STARTING, story.seen.attempt)


@pytest.mark.parametrize("by", [timedelta(minutes=-7), timedelta(days=-1), timedelta(days=1)])
def test_a_clock_that_is_set_neither_holds_readiness_back_nor_hurries_it(by: timedelta) -> None:
    story = Story()
    for _ in range(12):
        story.crash()
    story.check(passes=True)
    story.now += by
    story.wait(damping.STAY.pause_s(9))
    assert (story.replica.state, story.replica.attempt) == (ReplicaState.RUNNING, story.seen.attempt)


def test_that_a_ready_replica_is_not_counts_at_once_however_much_it_wrote() -> None:
    story = Story()
    story.check(passes=True)
    written = replace_of(story, full_until=story.now + timedelta(minutes=20))
    assert [f.event_type() for f in written.check(passes=False)] == ["ReplicaBecameUnready"]
    assert written.check(passes=True) == []
    written.seen = replace(written.seen, phase=STOPPING)
    assert [f.event_type() for f in written.look()] == ["ReplicaBecameUnready"]
