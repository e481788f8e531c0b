"""What can go wrong, as a tree. Pure data. Each boundary translates what it catches into one of these.

SpecstreamError
├── Refused                  the caller asked for something that cannot be; the answer says why
│   ├── BadRequest           400, with issues
│   │   └── ParseFailed      400, the body is not JSON at all
│   ├── NotFound             404
│   └── Conflict             409
├── Temporary                try again later, nothing is decided
│   ├── AppendConflict       the aggregate moved on: reload and decide again
│   ├── LogUnavailable       the broker cannot be reached; an append may or may not have happened
│   │   └── LogImporting     a part of an import is there: nothing is decided before it is whole
│   ├── LogReplaced          the log is another one, or lost events: start again from what it says
│   ├── MetricsUnavailable   the stream of samples cannot be reached; what was measured may be lost
│   ├── ClusterUnavailable   the cluster does not answer: hold the present state
│   └── DeploymentUnavailable  the cluster cannot show or change one deployment: hold that one's state
└── Permanent                trying again gives the same
    ├── Fenced               a newer plan has been applied already, or one of another log
    └── CannotApply          the cluster can never run this workload; the message says why
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


class SpecstreamError(Exception):
    """The root of every error that Specstream raises on purpose."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One mistake in an input: where it is, what is wrong, what was given, what would be right."""

    path: tuple[str | int, ...]
    message: str
    value: Any = None
    allowed: Any = None

    def under(self, *place: str | int) -> "Issue":
        """The same mistake, told by whoever has the input at this place of a larger one."""
        return replace(self, path=(*place, *self.path))

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"path": list(self.path), "message": self.message, "value": self.value}
        if self.allowed is not None:
            wire["allowed"] = self.allowed
        return wire


MAX_ISSUES = 100
"""An answer lists at most this many issues."""


class Refused(SpecstreamError):
    """The request was understood and is refused. `code` is one of the API's error codes."""

    code = "BAD_REQUEST"
    status = 400

    def __init__(self, message: str, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.issues = tuple(issues)[:MAX_ISSUES]


class BadRequest(Refused):
    """The input itself is wrong."""


class ParseFailed(BadRequest):
    """The body is not JSON."""

    code = "PARSE_ERROR"


class NotFound(Refused):
    code = "NOT_FOUND"
    status = 404


class Conflict(Refused):
    """The input is right, but the present state forbids it."""

    code = "CONFLICT"
    status = 409


class Temporary(SpecstreamError):
    """May succeed when tried again."""


class AppendConflict(Temporary):
    """A guard did not hold: somebody appended first."""


class LogUnavailable(Temporary):
    """The log cannot be reached. After an append this means *unknown*, not *failed*."""


class LogImporting(LogUnavailable):
    """A part of an import is in the log, and nothing was appended: it has to be whole first."""

    def __init__(self, sequence: int, events: int) -> None:
        super().__init__(
            f"importing {sequence} of {events} events; nothing can change before they are all there"
        )
        self.sequence = sequence
        self.events = events


class LogReplaced(Temporary):
    """The log is not the one that was read before: another identity, or events that were seen are gone.

    Whatever was made of those events has to be made again; a service does so by starting again.
    """


class MetricsUnavailable(Temporary):
    """The stream of samples cannot be reached. Samples are droppable: what was not taken is lost."""


class ClusterUnavailable(Temporary):
    """The cluster cannot be asked or told. Unknown is not zero: hold still."""


class DeploymentUnavailable(Temporary):
    """One deployment cannot be looked at or changed, while others can."""


class Permanent(SpecstreamError):
    """Fails again however often it is tried."""


class Fenced(Permanent):
    """A plan that rests on `by` was applied before, and it is newer than this one, or of another log.

    by: a `Position`. Dropping the plan is correct while the log has that event.
    """

    def __init__(self, message: str, *, by: Any = None) -> None:
        super().__init__(message)
        self.by = by


class CannotApply(Permanent):
    """This workload can never run on this cluster. reason: one of `SpecFailedReason`."""

    def __init__(self, message: str, *, reason: str = "cannot_apply") -> None:
        super().__init__(message)
        self.reason = reason
