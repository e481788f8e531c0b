"""The roster comes in pages: what is written for each change, how much that is, and what it folds to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.catalogue import decode, encode
from libs.common.events.envelope import Recorded
from libs.common.events.fact import Fact
from libs.common.events.replica import (
    Replica,
    ReplicaBecameReady,
    ReplicaFact,
    ReplicaReason,
    ReplicaStarted,
    ReplicaState,
    ReplicaStopped,
    RosterRecorded,
)
from libs.common.state import replica
from libs.common.state.replica import PAGE_SIZE, Roster, free_slots, record
from tests.support import earlier_facts
from tests.support.earlier_facts import earlier
from tests.support.golden_facts import ROSTER
from tests.support.strategies import newest_of_each_subject, recorded

DEPLOYMENT = "d" * 32
BORN = datetime(2026, 1, 1, tzinfo=UTC)
MOST_BYTES = 64 * 1024


def a_replica(number: int, *, slot: int = 0, state: ReplicaState = ReplicaState.STARTING) -> Replica:
    return Replica(
        replica_id=f"{number:032x}",
        slot=slot,
        run_id="run",
        spec_id="spec",
        state=state,
        created_at=BORN + timedelta(seconds=number),
    )


def started(roster: Roster, number: int) -> ReplicaFact:
    new = a_replica(number, slot=next(free_slots(roster.replicas)))
    return ReplicaStarted(replica_id=new.replica_id, replica=new)


def stopped(known: Replica) -> ReplicaFact:
    return ReplicaStopped(replica_id=known.replica_id, reason=ReplicaReason.STOPPED, message="exit 0")


def ready(known: Replica) -> ReplicaFact:
    after = known.model_copy(update={"state": ReplicaState.RUNNING})
    reason = ReplicaReason.PROBE_SUCCEEDED
    return ReplicaBecameReady(replica_id=known.replica_id, replica=after, reason=reason)


class Writer:
    """Appends as health does. A roster of version 1 is folded from what version 1 has written."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self.roster = Roster()
        self.made = 0

    def append(self, facts: Sequence[Fact]) -> None:
        """Through their payloads, as a log would give them back."""
        for fact in facts:
            _, read = decode(fact.event_type(), encode(fact))
            assert read is not None
            sequence = len(self.events) + 1
            self.events.append(recorded(read, sequence, aggregate_id=DEPLOYMENT))
            self.roster = replica.evolve(self.roster, self.events[-1])

    def carry_out(self, steps: Sequence[tuple[str, int]]) -> None:
        """Several changes in one append."""
        before = after = self.roster
        changes: list[ReplicaFact] = []
        for what, number in steps:
            known = after.replicas
            if what == "start" or not known:
                self.made += 1
                change = started(after, self.made)
            else:
                chosen = known[number % len(known)]
                change = stopped(chosen) if what == "stop" else ready(chosen)
            changes.append(change)
            _, after = record(after, [change])
        pages, roster = record(before, changes)
        self.append([*pages, *changes])
        assert roster == after == self.roster

    def carry_out_as_version_1(self, steps: Sequence[tuple[str, int]]) -> None:
        for what, number in steps:
            known = list(self.roster.replicas)
            if what == "start" or not known:
                self.made += 1
                known.append(a_replica(self.made))
                self.append([earlier(earlier_facts.ReplicaStarted, known[-1].replica_id, known)])
                continue
            place = number % len(known)
            chosen = known.pop(place)
            if what == "ready":
                known.insert(place, chosen.model_copy(update={"state": ReplicaState.RUNNING}))
            kind = earlier_facts.ReplicaStopped if what == "stop" else earlier_facts.ReplicaBecameReady
            self.append([earlier(kind, chosen.replica_id, known)])


def fold(events: Sequence[Recorded]) -> Roster:
    return reduce(replica.evolve, events, Roster())


_step = st.tuples(st.sampled_from(["start", "start", "ready", "stop"]), st.integers(0, 1000))
_many = st.tuples(st.sampled_from(["start", "stop"]), st.integers(0, 1000)).flatmap(
    lambda step: st.integers(1, 2 * PAGE_SIZE).map(lambda times: [step] * times)
)
_appends = st.one_of(st.lists(_step, min_size=1, max_size=5), _many)


@given(histories=st.lists(st.tuples(st.sampled_from([1, 2]), st.lists(_appends, max_size=4)), max_size=4))
def test_the_newest_of_each_subject_gives_the_same_roster_as_all(histories) -> None:
    """Whichever version wrote first, and after any number of updates and returns to the earlier one."""
    writer = Writer()
    for version, appends in histories:
        for steps in appends:
            if version == 1:
                writer.carry_out_as_version_1(steps)
            else:
                writer.carry_out(steps)
            newest = fold(newest_of_each_subject(writer.events))
            assert newest.by_id == writer.roster.by_id
            assert newest == writer.roster


@given(appends=st.lists(_appends, max_size=10))
def test_subjects_are_bounded_by_the_most_replicas_at_once(appends) -> None:
    writer = Writer()
    most = 0
    for steps in appends:
        for step in steps:
            writer.carry_out([step])
            most = max(most, len(writer.roster.replicas))
    pages = {event.subject for event in writer.events if isinstance(event.fact, RosterRecorded)}
    assert len(pages) == -(-most // PAGE_SIZE)
    slots = [known.slot for known in writer.roster.replicas]
    assert len(slots) == len(set(slots))


def test_the_changes_of_one_look_carry_each_page_once_and_before_them() -> None:
    writer = Writer()
    writer.carry_out([("start", 0)] * (PAGE_SIZE + 3))
    types = [event.type for event in writer.events]
    assert types == ["RosterRecorded"] * 2 + ["ReplicaStarted"] * (PAGE_SIZE + 3)
    assert [event.page for event in writer.events[:3]] == [0, 1, None]
    before = len(writer.events)
    writer.carry_out([("ready", 0), ("ready", 1), ("stop", PAGE_SIZE)])
    subjects = [event.subject.rpartition(".")[2] for event in writer.events[before:]]
    assert subjects == [
        "RosterRecorded-0",
        "RosterRecorded-1",
        "ReplicaBecameReady",
        "ReplicaBecameReady",
        "ReplicaStopped",
    ]


@pytest.mark.parametrize("character", ["x", "\x01", "🦊"], ids=["plain", "escaped", "of four bytes"])
def test_a_fact_of_a_thousand_replicas_stays_below_its_bound(character: str) -> None:
    """Every replica with all fields and the longest message there is."""
    changes = [
        ReplicaStarted(
            replica_id=f"{slot:032x}",
            replica=ROSTER[0].model_copy(
                update={
                    "replica_id": f"{slot:032x}",
                    "slot": slot,
                    "startup_passed_attempt": 1,
                    "message": character * 256,
                }
            ),
        )
        for slot in range(1000)
    ]
    pages, _ = record(Roster(), changes)
    assert len(pages) == -(-1000 // PAGE_SIZE)
    assert max(len(encode(fact)) for fact in [*pages, *changes]) < MOST_BYTES


def test_the_first_append_over_a_roster_without_pages_records_all_of_them() -> None:
    writer = Writer()
    writer.carry_out_as_version_1([("start", 0)] * (3 * PAGE_SIZE))
    assert not writer.roster.is_recorded
    before = len(writer.events)
    writer.carry_out([("stop", 0)])
    assert [event.type for event in writer.events[before:]] == ["RosterRecorded"] * 3 + ["ReplicaStopped"]
    assert writer.roster.is_recorded
    assert len(writer.roster.replicas) == 3 * PAGE_SIZE - 1
    before = len(writer.events)
    writer.carry_out([("ready", 0)])
    assert [event.type for event in writer.events[before:]] == ["RosterRecorded", "ReplicaBecameReady"]


def test_who_follows_sees_every_replica_while_the_pages_are_recorded_first() -> None:
    """A follower takes events in one by one, so no step may lose a replica that goes on."""
    writer = Writer()
    writer.carry_out_as_version_1([("start", 0)] * (3 * PAGE_SIZE))
    staying = set(writer.roster.by_id)
    before = len(writer.events)
    writer.carry_out([("ready", 0)])
    for number in range(before, len(writer.events)):
        assert set(fold(writer.events[: number + 1]).by_id) == staying


def test_the_last_empty_roster_of_version_1_leaves_nothing_behind() -> None:
    """Its fact is replaced by one of version 2, while an older one with a roster is still there."""
    writer = Writer()
    writer.carry_out_as_version_1([("start", 0)] * 40)
    writer.carry_out_as_version_1([("stop", 0)] * 40)
    writer.carry_out([("start", 0)])
    writer.carry_out([("stop", 0)])
    assert fold(newest_of_each_subject(writer.events)).replicas == ()
