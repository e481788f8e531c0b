"""One change, from the request to the first answer it changed, told from the log and the caller's clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.client import Json


@dataclass(frozen=True, slots=True)
class Span:
    """A step and the seconds since the request began."""

    at_s: float
    who: str
    what: str


def of_change(
    events: Sequence[Json], *, spec_id: str, began: datetime, first_served: datetime
) -> Iterator[Span]:
    """The steps of the change that registered `spec_id`, in the order they happened.

    events: those of its deployment, ascending, with the change's and what came of it among them.
    """
    run_id: str | None = None
    is_applied = is_ready = False
    yield Span(0.0, "client", "POST /v1/deployments")
    for event in events:
        data = event["data"]
        at = (_moment(event["time"]) - began).total_seconds()
        if event["type"] == "SpecRegistered" and data["spec_id"] == spec_id:
            run_id = data["run_id"]
            yield Span(at, "api", f"SpecRegistered, sequence {event['sequence']}")
        elif run_id is None:
            continue
        elif event["type"] == "SpecApplied" and not is_applied and data["spec_id"] == spec_id:
            is_applied = True
            yield Span(at, "reconciler", "SpecApplied")
        elif event["type"] == "ReplicaBecameReady" and not is_ready and data["replica"]["run_id"] == run_id:
            is_ready = True
            yield Span(at, "health", f"first ReplicaBecameReady, {data['replica_id'][:12]}")
    yield Span((first_served - began).total_seconds(), "router", "first request served by the new spec")


def _moment(rfc3339: str) -> datetime:
    return datetime.fromisoformat(rfc3339)
