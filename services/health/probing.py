"""When the outcomes of one check become a verdict. Pure: no clock, no I/O, no logging.

The kubelet's prober as a function: thresholds in a row, a different beginning for each kind, and an error of
the prober itself is thrown away, never counted.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from libs.common.spec.model import HealthCheck


class CheckKind(StrEnum):
    """`port` is not in a spec: it stands in for readiness where the spec has none."""

    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"
    PORT = "port"


PORT_CHECK = HealthCheck(path="/", failure_threshold=10)
"""The endpoint's port is tried until it accepts; after ten refusals in a row people are told."""


@dataclass(frozen=True, slots=True)
class Success:
    """The attempt was answered as it should be: status 200 to 399, or an accepted connection."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The replica's fault."""

    message: str
    """`HTTP 503`, `timed out after 1 s`, `connection refused`."""
    is_refused: bool = False
    output: str = field(default="", compare=False)
    """What a command wrote; no part of the verdict."""


@dataclass(frozen=True, slots=True)
class ProberError:
    """Our own fault, such as too many open files: it says nothing about the replica."""

    message: str


Outcome = Success | Failure | ProberError


class Standing(StrEnum):
    UNKNOWN = "unknown"
    PASSING = "passing"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class ProbeState:
    kind: CheckKind
    standing: Standing
    failures: int = 0
    """How many there were in a row, the newest included."""
    message: str | None = None
    """Why it is failing, as last told."""

    @property
    def is_settled(self) -> bool:
        """Nothing it could still say matters for this process of the replica.

        A startup check stops with its success, a port once it has accepted; a startup or liveness
        check that failed has sentenced the process.
        """
        match self.kind:
            case CheckKind.STARTUP:
                return self.standing is not Standing.UNKNOWN
            case CheckKind.LIVENESS:
                return self.standing is Standing.FAILING
            case CheckKind.PORT:
                return self.standing is Standing.PASSING
            case CheckKind.READINESS:
                return False
            case _:
                assert_never(self.kind)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check now concludes."""

    kind: CheckKind
    standing: Standing
    message: str | None = None
    """Names the check's kind and status where it is failing."""


FIRST_STANDING = {
    CheckKind.STARTUP: Standing.UNKNOWN,
    CheckKind.READINESS: Standing.FAILING,
    CheckKind.LIVENESS: Standing.PASSING,
    CheckKind.PORT: Standing.UNKNOWN,
}


def begin(kind: CheckKind) -> ProbeState:
    """How a check stands when a process of the replica has just started."""
    return ProbeState(kind, FIRST_STANDING[kind])


def observe(state: ProbeState, outcome: Outcome, check: HealthCheck) -> tuple[ProbeState, Verdict | None]:
    """One more outcome; a verdict only where it changes what is known.

    n is the number of failures in a row, t the failure threshold; one success is enough.

    | state    | outcome      | n          | standing | verdict                          |
    |----------|--------------|------------|----------|----------------------------------|
    | settled  | any          | -          | same     | none                             |
    | any      | prober error | unchanged  | same     | none                             |
    | passing  | success      | 0          | passing  | none                             |
    | another  | success      | 0          | passing  | passing                          |
    | any      | failure      | below t    | same     | none                             |
    | another  | failure      | t          | failing  | failing                          |
    | failing  | failure      | t, 2t, 4t… | failing  | failing, if its message is news  |
    | failing  | failure      | else       | failing  | none                             |

    The doubling bounds how often a check that only changes its message is heard.
    """
    if state.is_settled:
        return state, None
    match outcome:
        case ProberError():
            return state, None
        case Success():
            passing = ProbeState(state.kind, Standing.PASSING)
            if state.standing is Standing.PASSING:
                return passing, None
            return passing, Verdict(state.kind, Standing.PASSING)
        case Failure(message=detail):
            state = replace(state, failures=state.failures + 1)
            message = f"{label(state.kind)}: {detail}"
            if not _is_heard(state.failures, check.failure_threshold):
                return state, None
            if state.standing is Standing.FAILING and state.message == message:
                return state, None
            failing = replace(state, standing=Standing.FAILING, message=message)
            return failing, Verdict(state.kind, Standing.FAILING, message)
        case _:
            assert_never(outcome)


def label(kind: CheckKind) -> str:
    """How a message names a check."""
    return "port check" if kind is CheckKind.PORT else f"{kind} probe"


def _is_heard(failures: int, threshold: int) -> bool:
    """Whether `failures` is the threshold times a power of two."""
    times, rest = divmod(failures, threshold)
    return rest == 0 and times & (times - 1) == 0 and times > 0
