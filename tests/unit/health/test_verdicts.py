"""From observations and conclusions to facts: the table of `verdicts.decide`, row by row."""

import pytest

from libs.common.cluster.port import Exit, ObservedReplica, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaReason
from libs.common.state.replica import Roster
from services.health.examination import Conclusion, Undecided
from services.health.verdicts import decide
from tests.unit.health.scene import (
    EXITED,
    FAILING,
    NOW,
    PENDING,
    READY,
    RUN,
    SENTENCE,
    STOPPING,
    State,
    facts_of,
    known,
    shown,
    story,
)


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
        pytest.param(None, shown(PENDING, failed_before=1), None, [], id="another try, nothing to say"),
        pytest.param(None, shown(STOPPING, failed_before=3), None, [], id="another try that failed"),
        pytest.param(
            None,
            shown(STOPPING, failed_before=4),
            None,
            [("ReplicaStarted", "stopping")],
            id="the fourth try that failed",
        ),
        pytest.param(
            None,
            shown(PENDING, failed_before=3, message="no room"),
            None,
            [("ReplicaStarted", "pending")],
            id="another try says why it waits",
        ),
        pytest.param(
            None, shown(RUN, failed_before=3), None, [("ReplicaStarted", "starting")], id="another try runs"
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
            known(State.PENDING),
            shown(EXITED, attempt=2, last_exit=Exit(status=3)),
            None,
            [("ReplicaStopped", "failed"), ("ReplicaRestarted", "starting"), ("ReplicaStopped", "failed")],
            id="crashed again and again before the second look",
        ),
        pytest.param(
            known(State.RUNNING, attempt=3, address="127.0.0.1:1"),
            shown(RUN, attempt=1, host="127.0.0.1", ports={8000: 1}),
            READY,
            [
                ("ReplicaStopped", "failed"),
                ("ReplicaRestarted", "starting"),
                ("ReplicaBecameReady", "running"),
            ],
            id="counts its attempts from a record that is older than the log",
        ),
        pytest.param(
            known(State.FAILED, attempt=3),
            shown(EXITED, attempt=1, last_exit=Exit(status=3)),
            None,
            [("ReplicaRestarted", "starting"), ("ReplicaStopped", "failed")],
            id="ended, by a record that is older than the log",
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
        pytest.param(
            known(State.PENDING, message="0/3 nodes have room"),
            shown(PENDING, message="0/4 nodes have room"),
            None,
            [],
            id="pending says the same of other numbers",
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
    ("conclusion", "expected"),
    [
        pytest.param(Undecided(), [("ReplicaStarted", "starting")], id="nothing else is known"),
        pytest.param(FAILING, [("ReplicaBecameUnready", "starting")], id="not ready says it along"),
        pytest.param(READY, [("ReplicaBecameReady", "running")], id="ready says it along"),
    ],
)
def test_that_startup_has_passed_is_told_once(
    conclusion: Conclusion, expected: list[tuple[str, str]]
) -> None:
    before = known(State.STARTING, attempt=2)
    conclusions = {("r", 2): conclusion}
    started = frozenset({("r", 2)})
    facts = decide(Roster.of([before]), [shown(RUN, attempt=2)], conclusions, started=started, now=NOW)
    assert story(facts) == expected
    assert facts[-1].replica.startup_passed_attempt == 2
    after = Roster.of([facts[-1].replica])
    assert decide(after, [shown(RUN, attempt=2)], conclusions, started=started, now=NOW) == []


Reason = ReplicaReason


@pytest.mark.parametrize(
    ("before", "now_shown", "reason", "message"),
    [
        pytest.param(
            None,
            shown(PENDING, reason=Reason.UNSCHEDULABLE, message="no room"),
            Reason.UNSCHEDULABLE,
            "no room",
            id="appears and cannot be placed",
        ),
        pytest.param(
            known(State.PENDING, reason=Reason.SPAWNED),
            shown(PENDING, reason=Reason.IMAGE_PULL, message="not found"),
            Reason.IMAGE_PULL,
            "not found",
            id="cannot be started",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(EXITED, reason=Reason.OUT_OF_MEMORY, message="too much", last_exit=Exit(signal=9)),
            Reason.OUT_OF_MEMORY,
            "too much",
            id="ends",
        ),
        pytest.param(
            known(State.RUNNING),
            shown(STOPPING, reason=Reason.EVICTED, message="low on memory"),
            Reason.EVICTED,
            "low on memory",
            id="is ended by another",
        ),
        pytest.param(
            known(State.RUNNING), shown(STOPPING), Reason.STOPPED, "told to stop", id="is ended by us"
        ),
    ],
)
def test_the_clusters_own_word_is_the_reason(before, now_shown, reason, message):
    (fact,) = facts_of(before, now_shown)
    assert (fact.replica.reason, fact.replica.message) == (reason, message)


@pytest.mark.parametrize(
    ("leaving", "reason", "message"),
    [
        pytest.param(frozenset(), Reason.EVICTED, "low on memory", id="nobody asked for it"),
        pytest.param(frozenset({"r"}), Reason.STOPPED, "stopped", id="it was to leave anyway"),
    ],
)
def test_one_that_was_ended_by_another_is_gone_for_that_reason(leaving, reason, message):
    before = known(State.STOPPING, reason=Reason.EVICTED, message="low on memory")
    (fact,) = decide(Roster.of([before]), [], {}, leaving=leaving, now=NOW)
    assert (fact.reason, fact.message) == (reason, message)


@pytest.mark.parametrize("phase", [PENDING, EXITED])
def test_a_long_message_is_bounded_and_no_news_at_the_second_look(phase: ReplicaPhase) -> None:
    long = shown(phase, message="x" * 130_000, last_exit=Exit(status=127))
    facts = facts_of(None, long)
    assert max(len(fact.replica.message or "") for fact in facts) <= 256
    assert facts_of(facts[-1].replica, long) == []
