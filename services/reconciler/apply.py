"""Performing a plan on the cluster. Every action may be done twice."""

from dataclasses import replace

from libs.common import telemetry
from libs.common.cluster.port import Cluster
from libs.common.events.envelope import Position
from services.reconciler.plan import Plan


async def perform(step: Plan, cluster: Cluster, *, deployment_id: str, fence: Position) -> None:
    """Restarts, then the workload, then the removal. fence: the event of the step's own, with its log.

    Raises what the cluster port raises.
    """
    for restart in step.restarts:
        await cluster.restart(deployment_id, restart.replica_id, attempt=restart.attempt)
    if step.workload is not None:
        # In the trace of the request behind the spec, whichever event woke us: what the cluster creates
        # now belongs to that change.
        with telemetry.span("apply", step.workload.traceparent, deployment_id=deployment_id):
            workload = replace(step.workload, traceparent=telemetry.current_traceparent())
            await cluster.apply(workload, fence=fence)
    if step.is_removal:
        await cluster.remove(deployment_id, fence=fence)
