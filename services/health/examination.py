"""All checks of one process of a replica together: which may run, and what they conclude. Pure.

| startup check | readiness check | ready when                                              |
|---------------|-----------------|---------------------------------------------------------|
| none          | none            | its endpoint's port has accepted a connection           |
| yes           | none            | startup has succeeded, then the port has accepted       |
| none          | yes             | readiness passes                                        |
| yes           | yes             | startup has succeeded, then while readiness passes      |

A failed startup or liveness check condemns the process; a failed readiness check never does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from libs.common.cluster.port import ObservedReplica
from libs.common.events.replica import ProbeKind, Replica, ReplicaReason, ReplicaState
from libs.common.spec.model import HealthCheck
from libs.common.spec.template import Template
from services.health import probing
from services.health.probing import CheckKind, Outcome, ProbeState, Standing


@dataclass(frozen=True, slots=True)
class Undecided:
    """Nothing is known yet: hold what was."""


@dataclass(frozen=True, slots=True)
class Ready:
    reason: ReplicaReason
    lasted_s: float = field(default=0.0, compare=False)
    """For how long the checks have said so without interruption, by a clock that nobody sets. It is no part
    of what they say."""


@dataclass(frozen=True, slots=True)
class NotReady:
    reason: ReplicaReason
    message: str


@dataclass(frozen=True, slots=True)
class Condemned:
    """This process has to go."""

    probe: ProbeKind
    message: str


Conclusion = Undecided | Ready | NotReady | Condemned


@dataclass(frozen=True, slots=True)
class Examination:
    checks: Mapping[CheckKind, HealthCheck]
    """What is checked, by kind."""
    states: Mapping[CheckKind, ProbeState]
    """How each check stands."""

    def standing(self, kind: CheckKind) -> Standing | None:
        state = self.states.get(kind)
        return state.standing if state else None


def checks_of(template: Template) -> dict[CheckKind, HealthCheck]:
    """What is checked of a replica; a port check where the template has no readiness check."""
    spec = template.health_checks
    checks = {
        CheckKind.STARTUP: spec.startup if spec else None,
        CheckKind.READINESS: spec.readiness if spec else None,
        CheckKind.LIVENESS: spec.liveness if spec else None,
    }
    found = {kind: check for kind, check in checks.items() if check is not None}
    if CheckKind.READINESS not in found:
        found[CheckKind.PORT] = probing.PORT_CHECK
    return found


def begin(template: Template) -> Examination:
    """Of a process that has just started."""
    checks = checks_of(template)
    return Examination(checks, {kind: probing.begin(kind) for kind in checks})


def resume(template: Template, known: Replica) -> Examination:
    """Of a process that was examined before us: it stands as the roster says, until a check says otherwise.

    | roster                | startup | readiness | liveness | port    |
    |-----------------------|---------|-----------|----------|---------|
    | condemned             | failing, or whatever condemned it: nothing runs |
    | running               | passing | passing   | passing  | passing |
    | unready               | passing | failing   | passing  | passing |
    | startup has passed    | passing | as for a process that has just started |
    | any other             | as for a process that has just started          |
    """
    exam = begin(template)
    if known.condemned_attempt == known.attempt:
        culprits = {CheckKind.STARTUP, CheckKind.LIVENESS} & exam.states.keys()
        return _set(exam, dict.fromkeys(culprits, Standing.FAILING), known.message)
    if known.state not in (ReplicaState.RUNNING, ReplicaState.UNREADY):
        has_passed = known.startup_passed_attempt == known.attempt and CheckKind.STARTUP in exam.states
        return _set(exam, {CheckKind.STARTUP: Standing.PASSING}, None) if has_passed else exam
    is_ready = known.state is ReplicaState.RUNNING
    standings = dict.fromkeys(exam.states, Standing.PASSING)
    if CheckKind.READINESS in standings and not is_ready:
        standings[CheckKind.READINESS] = Standing.FAILING
    return _set(exam, standings, None if is_ready else known.message)


def _set(exam: Examination, standings: Mapping[CheckKind, Standing], message: str | None) -> Examination:
    changed = {
        kind: ProbeState(kind, standing, message=message if standing is Standing.FAILING else None)
        for kind, standing in standings.items()
    }
    return replace(exam, states={**exam.states, **changed})


def active(exam: Examination) -> frozenset[CheckKind]:
    """The checks that may run now: startup alone until it succeeds, none once one condemned."""
    if any(_condemns(state) for state in exam.states.values()):
        return frozenset()
    if exam.standing(CheckKind.STARTUP) is Standing.UNKNOWN:
        return frozenset({CheckKind.STARTUP})
    return frozenset(kind for kind, state in exam.states.items() if not state.is_settled)


def take(exam: Examination, kind: CheckKind, outcome: Outcome) -> tuple[Examination, bool]:
    """One more outcome, and whether it changed a verdict. Counts only while the check is active."""
    if kind not in active(exam):
        return exam, False
    state, verdict = probing.observe(exam.states[kind], outcome, exam.checks[kind])
    return replace(exam, states={**exam.states, kind: state}), verdict is not None


def conclude(exam: Examination) -> Conclusion:
    """What the checks say together; the table of this module."""
    for state in exam.states.values():
        if _condemns(state):
            return Condemned(ProbeKind(state.kind), state.message or probing.label(state.kind))
    if exam.standing(CheckKind.STARTUP) is Standing.UNKNOWN:
        return Undecided()
    gate = exam.states.get(CheckKind.READINESS) or exam.states[CheckKind.PORT]
    if gate.standing is Standing.PASSING:
        has_probe = gate.kind is CheckKind.READINESS or CheckKind.STARTUP in exam.states
        return Ready(ReplicaReason.PROBE_SUCCEEDED if has_probe else ReplicaReason.PORT_ACCEPTED)
    if gate.standing is Standing.FAILING and gate.message is not None:
        return NotReady(ReplicaReason.PROBE_FAILED, gate.message)
    return Undecided()


def has_passed_startup(exam: Examination) -> bool:
    """Whether there is a startup check, and it has succeeded: it is over then for this process."""
    return exam.standing(CheckKind.STARTUP) is Standing.PASSING


def _condemns(state: ProbeState) -> bool:
    return state.kind in (CheckKind.STARTUP, CheckKind.LIVENESS) and state.standing is Standing.FAILING


def native(o: ObservedReplica) -> Conclusion:
    """The verdict of a cluster that carries out the checks itself."""
    if o.ready is None:
        return Undecided()
    if o.ready:
        return Ready(ReplicaReason.PROBE_SUCCEEDED)
    return NotReady(o.reason or ReplicaReason.PROBE_FAILED, o.message or "not ready")
