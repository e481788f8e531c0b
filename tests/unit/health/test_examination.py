"""All checks of one process together: which run when, what they conclude, where a new observer goes on."""

from datetime import UTC, datetime

import pytest

from libs.common.events.replica import ProbeKind, Replica, ReplicaReason, ReplicaState
from libs.common.spec.model import HealthCheck, HealthChecks
from libs.common.spec.template import Template
from services.health.examination import (
    Conclusion,
    Condemned,
    Examination,
    NotReady,
    Ready,
    Undecided,
    active,
    begin,
    conclude,
    resume,
    take,
)
from services.health.probing import CheckKind, Failure, Outcome, Success

STARTUP, READINESS, LIVENESS, PORT = (
    CheckKind.STARTUP,
    CheckKind.READINESS,
    CheckKind.LIVENESS,
    CheckKind.PORT,
)
OK, BAD = Success(), Failure("HTTP 503")
BY_PROBE, BY_PORT = Ready(ReplicaReason.PROBE_SUCCEEDED), Ready(ReplicaReason.PORT_ACCEPTED)
ALL = (STARTUP, READINESS, LIVENESS)


def template(*kinds: CheckKind) -> Template:
    check = HealthCheck(path="/", failure_threshold=2)
    checks = HealthChecks(**{kind.value: check for kind in kinds}) if kinds else None
    return Template(image="i", ports=(8000,), machine_type="C4", health_checks=checks)


def after(exam: Examination, *outcomes: tuple[CheckKind, Outcome]) -> Examination:
    for kind, outcome in outcomes:
        exam, _ = take(exam, kind, outcome)
    return exam


def condemned(kind: CheckKind) -> Condemned:
    return Condemned(ProbeKind(kind), f"{kind} probe: HTTP 503")


def known(
    state: ReplicaState, *, condemned_attempt: int | None = None, message: str | None = None
) -> Replica:
    return Replica(
        replica_id="r",
        run_id="u",
        spec_id="s",
        state=state,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        condemned_attempt=condemned_attempt,
        message=message,
    )


@pytest.mark.parametrize(
    ("kinds", "outcomes", "runs", "conclusion"),
    [
        pytest.param((), [], {PORT}, Undecided(), id="without checks the port is tried"),
        pytest.param((), [(PORT, OK)], set(), BY_PORT, id="and once it accepts nothing more is done"),
        pytest.param((STARTUP,), [], {STARTUP}, Undecided(), id="startup runs alone"),
        pytest.param(
            (STARTUP,), [(STARTUP, OK)], {PORT}, Undecided(), id="startup alone is followed by the port"
        ),
        pytest.param((STARTUP,), [(STARTUP, OK), (PORT, OK)], set(), BY_PROBE, id="then it is ready"),
        pytest.param((LIVENESS,), [], {LIVENESS, PORT}, Undecided(), id="liveness does not make ready"),
        pytest.param(
            (LIVENESS,),
            [(LIVENESS, OK), (PORT, OK)],
            {LIVENESS},
            BY_PORT,
            id="with liveness alone the port decides",
        ),
        pytest.param(ALL, [], {STARTUP}, Undecided(), id="startup gates liveness and readiness"),
        pytest.param(
            ALL,
            [(LIVENESS, BAD), (LIVENESS, BAD)],
            {STARTUP},
            Undecided(),
            id="a late outcome of a gated check does not count",
        ),
        pytest.param(
            ALL, [(STARTUP, OK)], {READINESS, LIVENESS}, Undecided(), id="startup opens both and stops"
        ),
        pytest.param(
            ALL,
            [(STARTUP, OK), (READINESS, OK)],
            {READINESS, LIVENESS},
            BY_PROBE,
            id="readiness runs for the whole life",
        ),
        pytest.param(
            ALL,
            [(STARTUP, OK), (READINESS, BAD), (READINESS, BAD)],
            {READINESS, LIVENESS},
            NotReady(ReplicaReason.PROBE_FAILED, "readiness probe: HTTP 503"),
            id="a failed readiness check never condemns",
        ),
        pytest.param(ALL, [(STARTUP, BAD), (STARTUP, BAD)], set(), condemned(STARTUP), id="startup condemns"),
        pytest.param(
            ALL,
            [(STARTUP, OK), (READINESS, OK), (LIVENESS, BAD), (LIVENESS, BAD)],
            set(),
            condemned(LIVENESS),
            id="liveness condemns a ready process, and nothing runs any more",
        ),
    ],
)
def test_examination(
    kinds: tuple[CheckKind, ...],
    outcomes: list[tuple[CheckKind, Outcome]],
    runs: set[CheckKind],
    conclusion: Conclusion,
) -> None:
    exam = after(begin(template(*kinds)), *outcomes)
    assert active(exam) == runs
    assert conclude(exam) == conclusion


@pytest.mark.parametrize(
    ("kinds", "before", "runs", "conclusion"),
    [
        pytest.param(
            ALL, known(ReplicaState.RUNNING), {READINESS, LIVENESS}, BY_PROBE, id="ready stays ready"
        ),
        pytest.param((), known(ReplicaState.RUNNING), set(), BY_PORT, id="ready by its port stays ready"),
        pytest.param(
            ALL,
            known(ReplicaState.UNREADY, message="readiness probe: HTTP 500"),
            {READINESS, LIVENESS},
            NotReady(ReplicaReason.PROBE_FAILED, "readiness probe: HTTP 500"),
            id="unready stays unready and has started",
        ),
        pytest.param(ALL, known(ReplicaState.STARTING), {STARTUP}, Undecided(), id="starting begins again"),
        pytest.param(
            ALL,
            known(ReplicaState.UNREADY, condemned_attempt=0, message="m"),
            set(),
            Condemned(ProbeKind.STARTUP, "m"),
            id="condemned stays condemned",
        ),
    ],
)
def test_resume(
    kinds: tuple[CheckKind, ...], before: Replica, runs: set[CheckKind], conclusion: Conclusion
) -> None:
    exam = resume(template(*kinds), before)
    assert active(exam) == runs
    assert conclude(exam) == conclusion


def test_a_resumed_readiness_needs_the_whole_threshold_to_fail() -> None:
    exam = after(resume(template(*ALL), known(ReplicaState.RUNNING)), (READINESS, BAD))
    assert conclude(exam) == BY_PROBE
    assert conclude(after(exam, (READINESS, BAD))) == NotReady(
        ReplicaReason.PROBE_FAILED, "readiness probe: HTTP 503"
    )


def test_a_startup_check_that_has_passed_is_not_repeated() -> None:
    before = known(ReplicaState.STARTING).model_copy(update={"startup_passed_attempt": 0})
    exam = resume(template(*ALL), before)
    assert active(exam) == {READINESS, LIVENESS}
    assert not isinstance(conclude(after(exam, (STARTUP, BAD), (STARTUP, BAD))), Condemned)


def test_the_startup_check_of_another_process_counts_for_nothing() -> None:
    before = known(ReplicaState.STARTING).model_copy(update={"startup_passed_attempt": 0, "attempt": 1})
    assert active(resume(template(*ALL), before)) == {STARTUP}


def test_a_template_without_a_startup_check_has_none_to_pass() -> None:
    before = known(ReplicaState.STARTING).model_copy(update={"startup_passed_attempt": 0})
    assert active(resume(template(READINESS), before)) == {READINESS}
