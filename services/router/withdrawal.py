"""Saying in the log that replicas are out of routing."""

from collections.abc import Collection

import structlog

from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.traffic import EndpointsWithdrawn, TrafficFact, WithdrawReason
from libs.common.log.port import EventLog
from libs.common.state import traffic
from libs.common.state.traffic import TrafficState
from libs.common.state.world import DeploymentWorld

logger = structlog.get_logger()

ACTOR = "service:router"


async def withdraw(
    log: EventLog,
    world: DeploymentWorld,
    replica_ids: Collection[str],
    reason: WithdrawReason,
    *,
    active_requests: int,
) -> None:
    """Append EndpointsWithdrawn with these replicas and those withdrawn before that still exist.

    On a conflict nothing is appended, and the next look decides again. Raises LogUnavailable.
    """
    aggregate = Aggregate(world.project_id, TrafficFact.aggregate, world.deployment_id)
    loaded = await log.load(aggregate.filter)
    state = TrafficState()
    for event in loaded.events:
        state = traffic.evolve(state, event)
    withdrawn = state.withdrawn & _existing(world) | set(replica_ids)
    if withdrawn <= state.withdrawn:
        return
    fact = EndpointsWithdrawn(
        replica_ids=tuple(sorted(withdrawn)), reason=reason, active_requests=active_requests
    )
    try:
        await log.append([Draft(aggregate, fact)], heads=loaded.heads, cause=_cause(world))
    except AppendConflict:
        logger.info("withdrawal conflicts", deployment_id=world.deployment_id)
        return
    logger.info(
        "endpoints withdrawn",
        deployment_id=world.deployment_id,
        replica_ids=sorted(replica_ids),
        reason=reason,
        active_requests=active_requests,
    )


def _existing(world: DeploymentWorld) -> set[str]:
    """Listed by health, or told to leave before health has listed them."""
    return {replica.replica_id for replica in world.roster.replicas} | world.rollout.retiring


def _cause(world: DeploymentWorld) -> Cause:
    """Goes on from the newest event of the deployment."""
    if world.last is None:
        return Cause(actor=ACTOR, correlation_id=world.deployment_id)
    last = world.last
    return Cause(
        actor=ACTOR,
        correlation_id=last.cause.correlation_id,
        causation_id=last.event_id,
        traceparent=last.cause.traceparent,
    )
