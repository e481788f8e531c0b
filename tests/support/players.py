"""The services around the reconciler, played by hand: what api, health and the router would say next."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.cluster.port import Cluster, ObservedReplica, ReplicaPhase
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.replica import (
    ProbeKind,
    Replica,
    ReplicaBecameReady,
    ReplicaCondemned,
    ReplicaFact,
    ReplicaReason,
    ReplicaRestarted,
    ReplicaStarted,
    ReplicaState,
    ReplicaStopped,
)
from libs.common.events.scaling import ReplicasDecided
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.log.port import EventLog
from libs.common.scaling.cause import Cause as ScalingCause
from libs.common.scaling.in_force import stretch_of
from libs.common.services import ROUTER
from libs.common.spec.model import Autoscaling, ScalingMetric, Spec
from libs.common.spec.template import make_template, run_id
from libs.common.state.replica import Roster, free_slots, record
from libs.common.state.view import DeploymentView, fold
from services.router.routing import make_leaving

PROJECT = "default"
BY_CPU = Autoscaling(max_replicas=5, metrics=(ScalingMetric(metric="cpu", value=50),))
START = datetime(2026, 1, 1, tzinfo=UTC)


class Players:
    """They speak of one deployment. is_fit: whether a running replica would pass its probes."""

    def __init__(
        self,
        log: EventLog,
        cluster: Cluster,
        deployment_id: str,
        *,
        is_fit: Callable[[ObservedReplica], bool] = lambda _: True,
    ) -> None:
        self.log = log
        self.cluster = cluster
        self.deployment_id = deployment_id
        self.is_fit = is_fit
        self.now = START
        self.said = 0

    async def events(self) -> list[Recorded]:
        return [event async for event in self.log.read(select())]

    async def view(self) -> DeploymentView | None:
        return fold((await self.log.load(select(aggregate_id=self.deployment_id))).events)

    async def observed(self) -> tuple[ObservedReplica, ...]:
        workload = (await self.cluster.observe(self.deployment_id)).get(self.deployment_id)
        return workload.replicas if workload else ()

    async def say(self, *facts: Fact, traceparent: str | None = None) -> None:
        aggregate = Aggregate(PROJECT, facts[0].aggregate, self.deployment_id)
        heads = (await self.log.load(aggregate.filter)).heads
        self.said += 1
        self.now += timedelta(milliseconds=1)
        cause = Cause("test", correlation_id=f"request-{self.said}", traceparent=traceparent)
        await self.log.append([Draft(aggregate, fact) for fact in facts], heads=heads, cause=cause)

    async def register(self, wanted: Spec, *, traceparent: str | None = None) -> str | None:
        """The new spec's id; None for a deployment that is deleted."""
        view = await self.view()
        if view and view.deployment and view.deployment.is_deleted:
            return None
        created = [DeploymentCreated(name=wanted.name)] if view is None else []
        spec_id = f"s{self.said}"
        before = view.deployment.scaling_since if view and view.deployment else None
        registered = SpecRegistered(
            spec_id=spec_id,
            run_id=run_id(make_template(wanted)),
            spec=wanted,
            scaling_since=stretch_of(wanted.scale, spec_id=spec_id, before=before),
        )
        await self.say(*created, registered, traceparent=traceparent)
        return registered.spec_id

    async def decide(self, replicas: int) -> None:
        """The autoscaler asks for so many, also where the newest spec is not scaled by load any more."""
        view = await self.view()
        if view and view.deployment and view.deployment.spec and view.deployment.spec_id:
            await self.say(
                ReplicasDecided(
                    spec_id=view.deployment.spec_id,
                    stretch_id=view.deployment.scaling_since or "before",
                    from_replicas=view.wanted_replicas,
                    to_replicas=replicas,
                    floor=view.deployment.spec.resources.replicas,
                    policy=view.deployment.spec.resources.autoscaling or BY_CPU,
                    reason=ScalingCause.METRIC_ABOVE_TARGET,
                )
            )

    async def delete(self) -> None:
        view = await self.view()
        if view and view.deployment and not view.deployment.is_deleted:
            await self.say(DeploymentDeleted(name="demo"))

    async def change(self, roster: Roster, change: ReplicaFact) -> None:
        pages, _ = record(roster, [change])
        await self.say(*pages, change)

    async def health(self) -> bool:
        """One look of health at the cluster: the first difference to the roster becomes a fact."""
        view = await self.view()
        if view is None:
            return False
        seen = {replica.replica_id: replica for replica in await self.observed()}
        for line in view.roster.replicas:
            fact = self._difference(line, seen.get(line.replica_id))
            if fact:
                await self.change(view.roster, fact)
                return True
        for id_, replica in seen.items():
            if view.roster.get(id_) is None:
                line = Replica(
                    replica_id=id_,
                    slot=next(free_slots(view.roster.replicas)),
                    run_id=replica.run_id,
                    spec_id=replica.spec_id,
                    state=ReplicaState.STARTING,
                    address=replica.address,
                    attempt=replica.attempt,
                    created_at=replica.created_at,
                )
                await self.change(view.roster, ReplicaStarted(replica_id=id_, replica=line))
                return True
        return False

    async def condemn(self, number: int) -> None:
        view = await self.view()
        ready = view.roster.ready() if view else ()
        if view and ready:
            line = ready[number % len(ready)]
            sentenced = line.model_copy(
                update={"state": ReplicaState.UNREADY, "condemned_attempt": line.attempt}
            )
            await self.change(
                view.roster,
                ReplicaCondemned(
                    replica_id=line.replica_id,
                    replica=sentenced,
                    probe=ProbeKind.LIVENESS,
                    reason=ReplicaReason.PROBE_FAILED,
                    message="status 500",
                ),
            )

    async def router(self, name: str = ROUTER) -> bool:
        """The router of this name has drained all that are to leave."""
        view = await self.view()
        leaving = {one.replica_id for one in make_leaving(view, router=name)} if view else set()
        if view is None or not leaving:
            return False
        withdrawn = tuple(sorted(leaving | view.rollout.retiring & view.traffic.withdrawn_by(name)))
        await self.say(EndpointsWithdrawn(replica_ids=withdrawn, reason=WithdrawReason.IDLE, router=name))
        return True

    def _difference(self, line: Replica, replica: ObservedReplica | None) -> ReplicaFact | None:
        def with_line(**changes: Any) -> Replica:
            return line.model_copy(update=changes)

        id_ = line.replica_id
        if replica is None:
            return ReplicaStopped(replica_id=id_, reason=ReplicaReason.STOPPED, message="ended")
        if replica.attempt > line.attempt:
            return ReplicaRestarted(
                replica_id=id_,
                replica=with_line(
                    state=ReplicaState.STARTING, attempt=replica.attempt, condemned_attempt=None
                ),
                reason=ReplicaReason.EXITED,
                message="started again",
            )
        if replica.phase is ReplicaPhase.EXITED and line.state is not ReplicaState.FAILED:
            return ReplicaStopped(
                replica_id=id_,
                replica=with_line(state=ReplicaState.FAILED),
                reason=ReplicaReason.EXITED,
                message="exited",
            )
        is_fit = replica.phase is ReplicaPhase.RUNNING and self.is_fit(replica)
        if line.state is ReplicaState.STARTING and is_fit:
            return ReplicaBecameReady(
                replica_id=id_,
                replica=with_line(state=ReplicaState.RUNNING, ready_at=line.ready_at or START),
                reason=ReplicaReason.PROBE_SUCCEEDED,
            )
        return None
