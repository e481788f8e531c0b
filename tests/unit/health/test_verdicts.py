"""From observations and conclusions to facts: the table of `verdicts.decide`, row by row, and its laws."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.cluster.port import Exit, ObservedReplica, ReplicaPhase
from libs.common.events.replica import ProbeKind, Replica, ReplicaFact, ReplicaReason, ReplicaState
from libs.common.spec.template import Template
from libs.common.state.replica import Roster
from services.health.examination import Conclusion, Condemned, NotReady, Ready, Undecided
from services.health.verdicts import decide

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEMPLATE = Template(image="i", ports=(8000,), machine_type="C4")
PENDING, RUN, EXITED, STOPPING = ReplicaPhase
State, Reason = ReplicaState, ReplicaReason

READY = Ready(Reason.PROBE_SUCCEEDED)
FAILING = NotReady(Reason.PROBE_FAILED, "readiness probe: HTTP 503")
SENTENCE = Condemned(ProbeKind.LIVENESS, "liveness probe: HTTP 500")


def shown(phase: ReplicaPhase, attempt: int = 0, **changes: Any) -> ObservedReplica:
    has_process = phase is not PENDING
    fields: dict[str, Any] = {
        "host": "127.0.0.1",
        "ports": {8000: 40000 + attempt} if has_process else None,
        "started_at": NOW if has_process else None,
    }
    return ObservedReplica(
        "r", "run", "spec", TEMPLATE, phase, NOW - timedelta(minutes=1), attempt=attempt, **(fields | changes)
    )


def known(state: ReplicaState, attempt: int = 0, **changes: Any) -> Replica:
    address = None if state is State.PENDING else f"127.0.0.1:{40000 + attempt}"
    fields: dict[str, Any] = {"address": address, "attempt": attempt} | changes
    return Replica(
        replica_id="r",
        run_id="run",
        spec_id="spec",
        state=state,
        created_at=NOW - timedelta(minutes=1),
        **fields,
    )


def facts_of(
    before: Replica | None,
    now_shown: ObservedReplica | None,
    conclusion: Conclusion | None = None,
    leaving: frozenset[str] = frozenset(),
) -> list[ReplicaFact]:
    return decide(
        Roster((before,) if before else ()),
        [now_shown] if now_shown else [],
        {("r", now_shown.attempt): conclusion} if now_shown and conclusion else {},
        leaving=leaving,
        now=NOW,
    )


def story(facts: list[ReplicaFact]) -> list[tuple[str, str]]:
    """Type and state after each fact; `none` for a replica that is no longer in the roster."""
    return [(f.event_type(), f.roster[0].state.value if f.roster else "none") for f in facts]


@pytest.mark.parametrize(
    ("before", "now_shown", "conclusion", "expected"),
    [
        pytest.param(
            None, shown(PENDING), None, [("ReplicaStarted", "pending")], id="appears without a process"
        ),
        pytest.param(None, shown(RUN), None, [("ReplicaStarted", "starting")], id="appears with a process"),
        pytest.param(
            None,
            shown(RUN),
            READY,
            [("ReplicaStarted", "starting"), ("ReplicaBecameReady", "running")],
            id="appears and is ready already",
        ),
        pytest.param(
            None,
            shown(EXITED, last_exit=Exit(status=1)),
            None,
            [("ReplicaStarted", "starting"), ("ReplicaStopped", "failed")],
            id="appears and has crashed already",
        ),
        pytest.param(
            None, shown(STOPPING), None, [("ReplicaStarted", "stopping")], id="appears while it goes"
        ),
        pytest.param(known(State.PENDING), shown(PENDING), None, [], id="pending goes on"),
        pytest.param(
            known(State.PENDING),
            shown(PENDING, message="no such program"),
            None,
            [("ReplicaStarted", "pending")],
            id="pending says why it cannot start",
        ),
        pytest.param(
            known(State.PENDING), shown(RUN), None, [("ReplicaStarted", "starting")], id="gets its process"
        ),
        pytest.param(
            known(State.PENDING),
            shown(EXITED, last_exit=Exit(status=1)),
            None,
            [("ReplicaStopped", "failed")],
            id="had a process between two looks",
        ),
        pytest.param(
            known(State.STARTING), shown(RUN), Undecided(), [], id="starting goes on while undecided"
        ),
        pytest.param(known(State.STARTING), shown(RUN), None, [], id="starting goes on while not examined"),
        pytest.param(
            known(State.STARTING), shown(RUN), READY, [("ReplicaBecameReady", "running")], id="is ready"
        ),
        pytest.param(
            known(State.STARTING),
            shown(RUN),
            FAILING,
            [("ReplicaBecameUnready", "starting")],
            id="never ready: the reason is told",
        ),
        pytest.param(
            known(State.STARTING, message=FAILING.message), shown(RUN), FAILING, [], id="and told only once"
        ),
        pytest.param(known(State.RUNNING), shown(RUN), READY, [], id="ready goes on"),
        pytest.param(known(State.RUNNING), shown(RUN), Undecided(), [], id="ready is held while undecided"),
        pytest.param(
            known(State.RUNNING),
            shown(RUN),
            FAILING,
            [("ReplicaBecameUnready", "unready")],
            id="readiness is lost",
        ),
        pytest.param(
            known(State.UNREADY),
            shown(RUN),
            READY,
            [("ReplicaBecameReady", "running")],
            id="readiness comes back",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(RUN),
            SENTENCE,
            [("ReplicaCondemned", "unready")],
            id="condemned is not ready at once",
        ),
        pytest.param(
            known(State.UNREADY, condemned_attempt=0, message="m"),
            shown(RUN),
            SENTENCE,
            [],
            id="condemned once",
        ),
        pytest.param(
            known(State.UNREADY, condemned_attempt=0, message="m"),
            shown(RUN),
            READY,
            [],
            id="condemned is not ready again",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(EXITED, last_exit=Exit(status=1)),
            READY,
            [("ReplicaStopped", "failed")],
            id="crashes",
        ),
        pytest.param(known(State.FAILED), shown(EXITED), None, [], id="waits for its restart"),
        pytest.param(known(State.FAILED), shown(PENDING, attempt=1), None, [], id="is about to restart"),
        pytest.param(
            known(State.RUNNING),
            shown(PENDING, attempt=1),
            None,
            [("ReplicaStopped", "failed")],
            id="has ended and is about to restart",
        ),
        pytest.param(
            known(State.FAILED),
            shown(RUN, attempt=1),
            None,
            [("ReplicaRestarted", "starting")],
            id="restarts",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(RUN, attempt=1, last_exit=Exit(signal=9)),
            None,
            [("ReplicaStopped", "failed"), ("ReplicaRestarted", "starting")],
            id="crashed and restarted between two looks",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(EXITED, attempt=1, last_exit=Exit(status=1)),
            None,
            [("ReplicaStopped", "failed"), ("ReplicaRestarted", "starting"), ("ReplicaStopped", "failed")],
            id="crashed twice between two looks",
        ),
        pytest.param(
            known(State.FAILED),
            shown(RUN, attempt=1),
            READY,
            [("ReplicaRestarted", "starting"), ("ReplicaBecameReady", "running")],
            id="restarts and is ready",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(STOPPING),
            READY,
            [("ReplicaBecameUnready", "stopping")],
            id="is told to stop",
        ),
        pytest.param(known(State.STOPPING), shown(STOPPING), None, [], id="takes its time to stop"),
        pytest.param(known(State.STOPPING), None, None, [("ReplicaStopped", "none")], id="has stopped"),
        pytest.param(known(State.RUNNING), None, None, [("ReplicaStopped", "none")], id="is lost"),
        pytest.param(
            known(State.RUNNING),
            shown(RUN, ports={8000: 50000}),
            READY,
            [
                ("ReplicaStopped", "failed"),
                ("ReplicaRestarted", "starting"),
                ("ReplicaBecameReady", "running"),
            ],
            id="another address is another process",
        ),
    ],
)
def test_rows(
    before: Replica | None,
    now_shown: ObservedReplica | None,
    conclusion: Conclusion | None,
    expected: list[tuple[str, str]],
) -> None:
    assert story(facts_of(before, now_shown, conclusion)) == expected


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
    assert (stopped["roster"][0]["reason"], stopped["roster"][0]["message"]) == (reason, message)


def test_a_restart_has_the_new_address_before_it_is_ready() -> None:
    before = known(State.RUNNING, ready_at=NOW - timedelta(hours=1))
    stopped, restarted, ready = facts_of(before, shown(RUN, attempt=1, last_exit=Exit(status=1)), READY)
    assert stopped.roster[0].address == "127.0.0.1:40000"
    assert restarted.roster[0].address == "127.0.0.1:40001"
    assert restarted.roster[0].message == "exited with status 1"
    assert ready.roster[0].message is None
    assert ready.roster[0].ready_at == before.ready_at


def test_a_new_process_is_not_condemned_for_what_the_old_one_did() -> None:
    before = known(State.UNREADY, condemned_attempt=0, message="liveness probe: HTTP 500")
    restarted = facts_of(before, shown(RUN, attempt=1, last_exit=Exit(signal=15)))[-1]
    assert restarted.model_dump()["reason"] == Reason.CONDEMNED
    assert restarted.roster[0].condemned_attempt is None


def test_a_conclusion_about_another_process_does_not_count() -> None:
    facts = decide(Roster((known(State.FAILED),)), [shown(RUN, attempt=1)], {("r", 0): READY}, now=NOW)
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
    assert stopped.roster == ()


def test_the_roster_is_whole_in_every_fact_and_oldest_first() -> None:
    young = replace(shown(RUN), replica_id="young", created_at=NOW)
    old = replace(shown(RUN), replica_id="old", created_at=NOW - timedelta(hours=2))
    facts = decide(Roster((known(State.RUNNING),)), [young, old, shown(RUN)], {("r", 0): READY}, now=NOW)
    assert [[r.replica_id for r in f.roster] for f in facts] == [["old", "r"], ["old", "r", "young"]]


def test_many_changes_come_in_portions_and_all_come() -> None:
    many = [replace(shown(RUN), replica_id=f"r{n:03}") for n in range(100)]
    roster, portions = Roster(), []
    while facts := decide(roster, many, {}, now=NOW):
        roster = Roster(facts[-1].roster)
        portions.append(len(facts))
    assert len(roster.replicas) == 100
    assert max(portions) <= 34


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
        roster = Roster(facts[-1].roster) if facts else roster
        assert decide(roster, seen, said, now=NOW) == []
        for replica in roster.ready():
            assert now_shown is not None
            assert (replica.attempt, replica.address) == (now_shown.attempt, now_shown.address)
