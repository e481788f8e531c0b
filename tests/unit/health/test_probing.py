"""When outcomes become a verdict: the table of `probing.observe`, and walks through it."""

import pytest

from libs.common.spec.model import HealthCheck
from services.health.probing import (
    CheckKind,
    Failure,
    Outcome,
    ProberError,
    ProbeState,
    Standing,
    Success,
    Verdict,
    begin,
    observe,
)

CHECK = HealthCheck(path="/")
STARTUP, READINESS, LIVENESS, PORT = (
    CheckKind.STARTUP,
    CheckKind.READINESS,
    CheckKind.LIVENESS,
    CheckKind.PORT,
)
UNKNOWN, PASSING, FAILING = Standing.UNKNOWN, Standing.PASSING, Standing.FAILING

OK = Success()
BAD = Failure("HTTP 503")
OURS = ProberError("too many open files")


def walk(kind: CheckKind, outcomes: list[Outcome], check: HealthCheck = CHECK) -> list[Verdict | None]:
    """The verdict after each outcome, from a fresh process."""
    state = begin(kind)
    verdicts = []
    for outcome in outcomes:
        state, verdict = observe(state, outcome, check)
        verdicts.append(verdict)
    return verdicts


def failing(kind: CheckKind, message: str = "HTTP 503") -> Verdict:
    return Verdict(kind, FAILING, f"{kind} probe: {message}")


@pytest.mark.parametrize(
    ("kind", "standing"),
    [
        pytest.param(STARTUP, UNKNOWN, id="startup is unknown at first"),
        pytest.param(READINESS, FAILING, id="readiness fails at first"),
        pytest.param(LIVENESS, PASSING, id="liveness passes at first"),
        pytest.param(PORT, UNKNOWN, id="a port is unknown at first"),
    ],
)
def test_beginnings(kind: CheckKind, standing: Standing) -> None:
    assert begin(kind) == ProbeState(kind, standing)


@pytest.mark.parametrize(
    ("kind", "outcomes", "expected"),
    [
        pytest.param(STARTUP, [OK], [Verdict(STARTUP, PASSING)], id="one success ends startup"),
        pytest.param(
            STARTUP, [BAD, BAD, BAD], [None, None, failing(STARTUP)], id="startup fails at the threshold"
        ),
        pytest.param(
            STARTUP,
            [OK, BAD, BAD, BAD],
            [Verdict(STARTUP, PASSING), None, None, None],
            id="startup stops for good",
        ),
        pytest.param(READINESS, [OK], [Verdict(READINESS, PASSING)], id="one success makes ready"),
        pytest.param(
            READINESS, [OK, OK], [Verdict(READINESS, PASSING), None], id="a second success is no news"
        ),
        pytest.param(
            READINESS,
            [OK, BAD, BAD, BAD],
            [Verdict(READINESS, PASSING), None, None, failing(READINESS)],
            id="readiness is lost at the threshold",
        ),
        pytest.param(
            READINESS,
            [OK, BAD, BAD, OK, BAD, BAD],
            [Verdict(READINESS, PASSING), None, None, None, None, None],
            id="failures count only in a row",
        ),
        pytest.param(
            READINESS,
            [OK, BAD, OURS, BAD, OURS, BAD],
            [Verdict(READINESS, PASSING), None, None, None, None, failing(READINESS)],
            id="an error of ours neither counts nor interrupts",
        ),
        pytest.param(
            READINESS,
            [BAD, BAD, BAD, BAD],
            [None, None, failing(READINESS), None],
            id="never ready is told once, with its reason",
        ),
        pytest.param(
            READINESS,
            [BAD, BAD, BAD, OK],
            [None, None, failing(READINESS), Verdict(READINESS, PASSING)],
            id="readiness recovers with one success",
        ),
        pytest.param(LIVENESS, [OK], [None], id="a living process stays alive without news"),
        pytest.param(
            LIVENESS, [BAD, BAD, BAD], [None, None, failing(LIVENESS)], id="liveness fails at the threshold"
        ),
        pytest.param(
            LIVENESS,
            [BAD, BAD, BAD, OK, BAD],
            [None, None, failing(LIVENESS), None, None],
            id="a sentence is final for the process",
        ),
        pytest.param(PORT, [BAD, OK], [None, Verdict(PORT, PASSING)], id="a port is open once it accepts"),
        pytest.param(PORT, [OK, BAD, BAD, BAD], [Verdict(PORT, PASSING)] + [None] * 3, id="and stays open"),
    ],
)
def test_verdicts(kind: CheckKind, outcomes: list[Outcome], expected: list[Verdict | None]) -> None:
    assert walk(kind, outcomes) == expected


def test_a_threshold_of_one_fails_at_the_first_failure() -> None:
    check = HealthCheck(path="/", failure_threshold=1)
    assert walk(LIVENESS, [BAD], check) == [failing(LIVENESS)]


def test_a_message_that_keeps_changing_is_heard_ever_more_rarely() -> None:
    check = HealthCheck(path="/", failure_threshold=1)
    outcomes: list[Outcome] = [Failure(f"HTTP {500 + n % 2}") for n in range(1, 1001)]
    heard = [n for n, verdict in enumerate(walk(READINESS, outcomes, check), start=1) if verdict]
    assert heard == [1, 2]
    outcomes = [Failure(f"HTTP {n}") for n in range(1, 1001)]
    heard = [n for n, verdict in enumerate(walk(READINESS, outcomes, check), start=1) if verdict]
    assert heard == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
