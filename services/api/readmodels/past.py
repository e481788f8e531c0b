"""A deployment as it was at some place in the log, folded from its events up to there."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from libs.common.clock import to_rfc3339
from libs.common.errors import BadRequest, Issue
from libs.common.events.deployment import DeploymentCreated, SpecRegistered
from libs.common.events.envelope import Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.rollout import SpecApplied, SpecFailed, SpecHealthy
from libs.common.log.port import EventLog
from libs.common.log.timeline import Timeline
from libs.common.state import view
from services.api.readmodels.records import DeploymentRecord, SpecRecord

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+\- ]\d{2}:\d{2})", re.ASCII
)


CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""So far the clock of whoever asks may be ahead of ours, whose present is then meant."""


async def resolve(log: EventLog, at: str, timeline: Timeline, *, now: datetime) -> int:
    """The place in the log that `?at=` means: a sequence, or the last one shown with that time or before.

    Raises BadRequest for what is neither, lies after the end of the log, or is in the future: not up to now,
    nor to the latest time that an event is shown with, which the broker's clock says.
    """
    if at.isascii() and at.isdecimal():
        last = await log.last_sequence()
        if len(at) > 18 or int(at) > last:
            raise _refused(at, f"the log ends at {last}", f"a sequence up to {last}")
        return int(at)
    moment = parse_time(at)
    if moment is None:
        raise _refused(at, "is neither a time nor a sequence", "an RFC 3339 time or a sequence")
    if moment > max(now, timeline.latest) + CLOCKS_DIFFER:
        raise _refused(at, "is in the future", f"a time up to {to_rfc3339(now)}")
    return await log.sequence_at(moment, timeline=timeline)


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time. A `+` that a query string turned into a space is taken for what it was."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{micros}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def deployment_at(
    log: EventLog, deployment_id: str, sequence: int, timeline: Timeline
) -> tuple[DeploymentRecord | None, int]:
    """The deployment after `sequence`, and how many replicas were ready; None if it did not exist then.

    Folded from the newest event of each subject up to there, so its cost does not depend on the history.
    """
    loaded = await log.load(select(aggregate_id=deployment_id), until=sequence)
    events = [timeline.shown(event) for event in loaded.events]
    then = view.fold(events)
    created = _newest(DeploymentCreated, events)
    if then is None or created is None or then.deployment is None or not then.deployment.exists:
        return None, 0
    record = DeploymentRecord(
        id=deployment_id,
        sequence=created.sequence,
        project_id=then.project_id,
        name=then.deployment.name,
        created_at=to_rfc3339(created.time),
        spec=await _latest_spec(log, events, timeline),
        runs=tuple(run.run_id for run in then.rollout.runs),
        retiring=then.rollout.retiring,
        decided=then.scaling.decided,
    )
    ready = then.roster.ready(then.deployment.run_id)
    return record, sum(replica.replica_id not in then.rollout.retiring for replica in ready)


async def _latest_spec(log: EventLog, events: Sequence[Recorded], timeline: Timeline) -> SpecRecord | None:
    """events: the newest of each subject.

    Whatever the reconciler says of a spec it says after that was registered, and never after it spoke of a
    newer one: so the newest event of a type is of this spec, or there is none of that type of this spec.
    """
    event = _newest(SpecRegistered, events)
    if event is None:
        return None
    fact = event.fact
    assert isinstance(fact, SpecRegistered)
    applied, healthy = await asyncio.gather(
        _first_of_spec(log, _newest(SpecApplied, events), fact.spec_id, after=event.sequence),
        _first_of_spec(log, _newest(SpecHealthy, events), fact.spec_id, after=event.sequence),
    )
    return SpecRecord(
        id=fact.spec_id,
        sequence=event.sequence,
        deployment_id=event.aggregate.id,
        run_id=fact.run_id,
        user_id=event.cause.actor,
        data=fact.spec.to_wire(),
        created_at=to_rfc3339(event.time),
        applied_at=to_rfc3339(timeline.shown(applied).time) if applied else None,
        healthy_at=to_rfc3339(timeline.shown(healthy).time) if healthy else None,
        error=_error(events, fact.spec_id),
        git=fact.git.model_dump(exclude_none=True) if fact.git else None,
        command_source=event.cause.causation_source,
        scaling_since=fact.scaling_since,
    )


async def _first_of_spec(
    log: EventLog, newest: Recorded | None, spec_id: str, *, after: int
) -> Recorded | None:
    """When something was said of a spec first; it may be said again, as when another run has ended.

    newest: of that type. after: where the spec was registered.
    """
    if newest is None or not _is_of_spec(newest, spec_id):
        return None
    async for event in log.read(newest.subject, after=after, until=newest.sequence):
        if _is_of_spec(event, spec_id):
            return event
    return newest


def _is_of_spec(event: Recorded, spec_id: str) -> bool:
    return isinstance(event.fact, SpecApplied | SpecHealthy) and event.fact.spec_id == spec_id


def _error(events: Sequence[Recorded], spec_id: str) -> str | None:
    error = None
    for event in events:
        match event.fact:
            case SpecApplied(spec_id=applied) if applied == spec_id:
                error = None
            case SpecFailed(spec_id=failed, message=message) if failed == spec_id:
                error = message
    return error


def _newest(fact: type[Fact], events: Sequence[Recorded]) -> Recorded | None:
    return next((event for event in reversed(events) if isinstance(event.fact, fact)), None)


def _refused(at: str, message: str, allowed: str) -> BadRequest:
    return BadRequest(f"at: {message}", [Issue(("at",), message, at[:100], allowed)])
