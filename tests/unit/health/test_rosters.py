"""What the facts of `verdicts.decide` say of each replica and of all together, and the laws they keep."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.cluster.port import Exit, ObservedReplica, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaReason
from libs.common.state.replica import Roster, record
from services.health.examination import Conclusion, Undecided
from services.health.verdicts import decide
from tests.unit.health.scene import (
    EXITED,
    FAILING,
    NOW,
    READY,
    RUN,
    SENTENCE,
    Reason,
    State,
    facts_of,
    known,
    shown,
    story,
)


@pytest.mark.parametrize(
    ("before", "now_shown", "reason", "message"),
    [
        pytest.param(
            known(State.RUNNING),
            shown(EXITED, last_exit=Exit(status=1)),
            Reason.EXITED,
            "exited with status 1",
            id="an exit status",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(EXITED, last_exit=Exit(signal=9)),
            Reason.KILLED,
            "ended by signal 9",
            id="a signal",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(EXITED),
            Reason.EXIT_UNKNOWN,
            "ended; exit status unknown",
            id="an end that nobody saw",
        ),
        pytest.param(
            known(State.UNREADY, condemned_attempt=0, message="liveness probe: HTTP 500"),
            shown(EXITED, last_exit=Exit(signal=15)),
            Reason.CONDEMNED,
            "liveness probe: HTTP 500",
            id="a condemned process ended by its probe, not by our signal",
        ),
    ],
)
def test_why_it_ended(
    before: Replica, now_shown: ObservedReplica, reason: ReplicaReason, message: str
) -> None:
    stopped = facts_of(before, now_shown)[0].model_dump()
    assert (stopped["reason"], stopped["message"]) == (reason, message)
    assert (stopped["replica"]["reason"], stopped["replica"]["message"]) == (reason, message)


def test_a_restart_has_the_new_address_before_it_is_ready() -> None:
    before = known(State.RUNNING, ready_at=NOW - timedelta(hours=1))
    stopped, restarted, ready = facts_of(before, shown(RUN, attempt=1, last_exit=Exit(status=1)), READY)
    assert stopped.replica.address == "127.0.0.1:40000"
    assert restarted.replica.address == "127.0.0.1:40001"
    assert restarted.replica.message == "exited with status 1"
    assert ready.replica.message is None
    assert ready.replica.ready_at == before.ready_at


def test_a_new_process_is_not_condemned_for_what_the_old_one_did() -> None:
    before = known(State.UNREADY, condemned_attempt=0, message="liveness probe: HTTP 500")
    restarted = facts_of(before, shown(RUN, attempt=1, last_exit=Exit(signal=15)))[-1]
    assert restarted.model_dump()["reason"] == Reason.CONDEMNED
    assert restarted.replica.condemned_attempt is None


def test_a_conclusion_about_another_process_does_not_count() -> None:
    facts = decide(Roster.of([known(State.FAILED)]), [shown(RUN, attempt=1)], {("r", 0): READY}, now=NOW)
    assert story(facts) == [("ReplicaRestarted", "starting")]


@pytest.mark.parametrize(
    ("before", "leaving", "reason"),
    [
        pytest.param(known(State.RUNNING), set(), Reason.LOST, id="nobody asked"),
        pytest.param(known(State.RUNNING), {"r"}, Reason.STOPPED, id="it was retiring"),
        pytest.param(known(State.STOPPING), set(), Reason.STOPPED, id="it was stopping"),
    ],
)
def test_gone(before: Replica, leaving: set[str], reason: ReplicaReason) -> None:
    (stopped,) = facts_of(before, None, leaving=frozenset(leaving))
    assert stopped.model_dump()["reason"] == reason
    assert stopped.replica is None


def test_a_new_replica_has_the_lowest_free_slot_and_keeps_it() -> None:
    old, young = (replace(shown(RUN), replica_id=name) for name in ("old", "young"))
    young = replace(young, created_at=NOW)
    roster = Roster()
    slots = []
    for seen in ([shown(RUN), old], [shown(RUN), old, young], [shown(RUN), young], [young, old]):
        _, roster = record(roster, decide(roster, seen, {}, now=NOW))
        slots.append({name: replica.slot for name, replica in roster.by_id.items()})
    assert slots == [
        {"old": 0, "r": 1},
        {"old": 0, "r": 1, "young": 2},
        {"r": 1, "young": 2},
        {"young": 2, "old": 0},
    ]


def test_many_changes_come_in_portions_and_all_come() -> None:
    many = [replace(shown(RUN), replica_id=f"r{n:03}") for n in range(600)]
    roster, portions = Roster(), []
    while facts := decide(roster, many, {}, now=NOW):
        pages, roster = record(roster, facts)
        portions.append(len(facts) + len(pages))
    assert len(roster.replicas) == 600
    assert max(portions) <= 300


conclusions = st.sampled_from([None, Undecided(), READY, FAILING, SENTENCE])
observations = st.none() | st.builds(
    shown,
    st.sampled_from(ReplicaPhase),
    attempt=st.integers(0, 3),
    message=st.none() | st.just("why"),
    last_exit=st.none() | st.builds(Exit, status=st.none() | st.just(1), signal=st.none()),
)


@given(st.lists(st.tuples(observations, conclusions), max_size=12))
def test_looking_twice_says_nothing_new_and_ready_is_always_at_the_shown_address(
    looks: list[tuple[ObservedReplica | None, Conclusion | None]],
) -> None:
    roster = Roster()
    for now_shown, conclusion in looks:
        said = {("r", now_shown.attempt): conclusion} if now_shown and conclusion else {}
        seen = [now_shown] if now_shown else []
        facts = decide(roster, seen, said, now=NOW)
        _, roster = record(roster, facts)
        assert decide(roster, seen, said, now=NOW) == []
        for replica in roster.ready():
            assert now_shown is not None
            assert (replica.attempt, replica.address) == (now_shown.attempt, now_shown.address)
