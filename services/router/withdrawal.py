"""Saying in the log that replicas are out of routing."""

from collections.abc import Collection

import structlog

from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.traffic import EndpointsWithdrawn, TrafficFact, WithdrawReason
from libs.common.log.port import EventLog
from libs.common.services import MOST_ROUTERS, ROUTER
from libs.common.state import traffic
from libs.common.state.traffic import TrafficState
from libs.common.state.view import DeploymentView

logger = structlog.get_logger()

ACTOR = "service:router"


async def withdraw(
    log: EventLog,
    view: DeploymentView,
    replica_ids: Collection[str],
    reason: WithdrawReason,
    *,
    active_requests: int,
    router: str = ROUTER,
) -> None:
    """Append EndpointsWithdrawn with these replicas and those that this router has withdrawn before and that
    still exist.

    Another router may append its own word at the same time: then this one says its word after that, for it
    does not rest on what others say. When that fails too, nothing is appended and the next look decides
    again. Raises LogUnavailable.
    """
    aggregate = Aggregate(view.project_id, TrafficFact.aggregate, view.deployment_id)
    for _ in range(MOST_ROUTERS):
        loaded = await log.load(aggregate.filter)
        state = TrafficState()
        for event in loaded.events:
            state = traffic.evolve(state, event)
        before = state.withdrawn_by(router)
        withdrawn = before & _existing(view) | set(replica_ids)
        if withdrawn <= before:
            return
        fact = EndpointsWithdrawn(
            replica_ids=tuple(sorted(withdrawn)),
            reason=reason,
            active_requests=active_requests,
            router=router,
        )
        try:
            await log.append([Draft(aggregate, fact)], heads=loaded.heads, cause=_cause(view))
        except AppendConflict:
            logger.info("withdrawal conflicts", deployment_id=view.deployment_id)
            continue
        logger.info(
            "endpoints withdrawn",
            deployment_id=view.deployment_id,
            replica_ids=sorted(replica_ids),
            reason=reason,
            active_requests=active_requests,
        )
        return


def _existing(view: DeploymentView) -> set[str]:
    """Listed by health, or told to leave before health has listed them."""
    return {replica.replica_id for replica in view.roster.replicas} | view.rollout.retiring


def _cause(view: DeploymentView) -> Cause:
    """Goes on from the newest event of the deployment."""
    if view.last is None:
        return Cause(actor=ACTOR, correlation_id=view.deployment_id)
    last = view.last
    return Cause(
        actor=ACTOR,
        correlation_id=last.correlation_id,
        causation_id=last.event_id,
        traceparent=last.traceparent,
    )
