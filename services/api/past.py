"""A deployment as it was at some place in the log, folded from its events up to there."""

import re
from datetime import UTC, datetime

from libs.common.clock import to_rfc3339
from libs.common.errors import BadRequest, Issue
from libs.common.events.deployment import DeploymentCreated, SpecRegistered
from libs.common.events.envelope import Recorded, select
from libs.common.events.rollout import SpecApplied, SpecFailed, SpecHealthy
from libs.common.log.port import EventLog
from libs.common.state import view
from services.api.records import DeploymentRecord, SpecRecord

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+\- ]\d{2}:\d{2})", re.ASCII
)


async def resolve(log: EventLog, at: str) -> int:
    """The place in the log that `?at=` means: a sequence, or the last one stored at or before a time.

    Raises BadRequest for what is neither, or lies after the end of the log.
    """
    if at.isascii() and at.isdecimal():
        last = await log.last_sequence()
        if len(at) > 18 or int(at) > last:
            raise _refused(at, f"the log ends at {last}", f"a sequence up to {last}")
        return int(at)
    moment = parse_time(at)
    if moment is None:
        raise _refused(at, "is neither a time nor a sequence", "an RFC 3339 time or a sequence")
    return await log.sequence_at(moment)


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
    log: EventLog, deployment_id: str, sequence: int
) -> tuple[DeploymentRecord | None, int]:
    """The deployment after `sequence`, and how many replicas were ready; None if it did not exist then."""
    events = [e async for e in log.read(select(aggregate_id=deployment_id), until=sequence)]
    then = view.fold(events)
    if then is None or then.deployment is None or not then.deployment.exists:
        return None, 0
    created = next(e for e in events if isinstance(e.fact, DeploymentCreated))
    record = DeploymentRecord(
        id=deployment_id,
        sequence=created.sequence,
        project_id=then.project_id,
        name=then.deployment.name,
        created_at=to_rfc3339(created.time),
        spec=_latest_spec(events),
        runs=tuple(run.run_id for run in then.rollout.runs),
        retiring=then.rollout.retiring,
    )
    ready = then.roster.ready(then.deployment.run_id)
    return record, sum(replica.replica_id not in then.rollout.retiring for replica in ready)


def _latest_spec(events: list[Recorded]) -> SpecRecord | None:
    registered = [e for e in events if isinstance(e.fact, SpecRegistered)]
    if not registered:
        return None
    event = registered[-1]
    fact = event.fact
    assert isinstance(fact, SpecRegistered)
    applied = healthy = error = None
    for later in events:
        match later.fact:
            case SpecApplied(spec_id=fact.spec_id):
                applied, error = applied or to_rfc3339(later.time), None
            case SpecHealthy(spec_id=fact.spec_id):
                healthy = healthy or to_rfc3339(later.time)
            case SpecFailed(spec_id=fact.spec_id, message=message):
                error = message
    return SpecRecord(
        id=fact.spec_id,
        sequence=event.sequence,
        deployment_id=event.aggregate.id,
        run_id=fact.run_id,
        user_id=event.cause.actor,
        data=fact.spec.to_wire(),
        created_at=to_rfc3339(event.time),
        applied_at=applied,
        healthy_at=healthy,
        error=error,
        git=fact.git.model_dump(exclude_none=True) if fact.git else None,
        command_source=event.cause.causation_source,
    )


def _refused(at: str, message: str, allowed: str) -> BadRequest:
    return BadRequest(f"at: {message}", [Issue(("at",), message, at[:100], allowed)])
