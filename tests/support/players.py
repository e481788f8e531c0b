"""The services around the reconciler, played by hand: what api, health and the router would say next.

What health says is what the real one decides; only what the checks conclude is played.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from libs.common.cluster.port import Cluster, ObservedReplica, ReplicaPhase
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.replica import ProbeKind, ReplicaFact, ReplicaReason
from libs.common.events.scaling import ReplicasDecided
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.log.port import EventLog
from libs.common.scaling.cause import Cause as ScalingCause
from libs.common.scaling.in_force import stretch_of
from libs.common.services import ROUTER
from libs.common.spec.model import Autoscaling, ScalingMetric, Spec
from libs.common.spec.template import make_template, run_id
from libs.common.state.replica import record
from libs.common.state.view import DeploymentView, fold
from services.health import damping, verdicts
from services.health.examination import Conclusion, Condemned, NotReady, Ready
from services.router.routing import make_leaving

PROJECT = "default"
BY_CPU = Autoscaling(max_replicas=5, metrics=(ScalingMetric(metric="cpu", value=50),))
START = datetime(2026, 1, 1, tzinfo=UTC)


class Players:
    """They speak of one deployment. is_fit: whether a running replica would pass its probes, as long as it is
    not among the `sick`, by id."""

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
        self.sick: set[str] = set()
        self._fit_since: dict[tuple[str, int], datetime] = {}
        self._condemned: set[tuple[str, int]] = set()

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

    def time(self) -> datetime:
        """By which health judges."""
        return self.now

    async def health(self) -> bool:
        """One look of health at the cluster: what is new of the first replica of which anything is."""
        view, seen = await self.view(), await self.observed()
        facts = self._verdicts(view, seen, limit=1) if view else []
        if view and facts:
            pages, _ = record(view.roster, facts)
            await self.say(*pages, *facts)
        return bool(facts)

    async def unsaid_for_s(self) -> float:
        """How long it takes until health says what it keeps to itself of a replica that changes too often;
        0 where there is nothing."""
        view, seen = await self.view(), await self.observed()
        if view is None:
            return 0.0
        waits = damping.held(view.roster, self._conclusions(seen), self.time())
        return max((waits.get((one.replica_id, one.attempt), 0.0) for one in seen), default=0.0)

    async def condemn(self, number: int) -> None:
        """The liveness check of one that is ready fails, and health says so."""
        view = await self.view()
        ready = view.roster.ready() if view else ()
        if view is None or not ready:
            return
        line = ready[number % len(ready)]
        self._condemned.add((line.replica_id, line.attempt))
        seen = [one for one in await self.observed() if one.replica_id == line.replica_id]
        facts = [one for one in self._verdicts(view, seen) if one.replica_id == line.replica_id]
        if facts:
            pages, _ = record(view.roster, facts)
            await self.say(*pages, *facts)

    def _verdicts(
        self, view: DeploymentView, seen: Sequence[ObservedReplica], **how: int
    ) -> list[ReplicaFact]:
        return verdicts.decide(
            view.roster,
            seen,
            self._conclusions(seen),
            leaving=view.rollout.retiring,
            now=self.time(),
            **how,
        )

    def _conclusions(self, seen: Sequence[ObservedReplica]) -> verdicts.Conclusions:
        running = [one for one in seen if one.phase is ReplicaPhase.RUNNING]
        return {(one.replica_id, one.attempt): self._conclude(one) for one in running}

    def _conclude(self, one: ObservedReplica) -> Conclusion:
        process = (one.replica_id, one.attempt)
        if process in self._condemned:
            return Condemned(ProbeKind.LIVENESS, "status 500")
        if one.replica_id in self.sick or not self.is_fit(one):
            self._fit_since.pop(process, None)
            return NotReady(ReplicaReason.PROBE_FAILED, "status 503")
        since = self._fit_since.setdefault(process, self.time())
        return Ready(ReplicaReason.PROBE_SUCCEEDED, (self.time() - since).total_seconds())

    async def router(self, name: str = ROUTER) -> bool:
        """The router of this name has drained all that are to leave."""
        view = await self.view()
        leaving = {one.replica_id for one in make_leaving(view, router=name)} if view else set()
        if view is None or not leaving:
            return False
        withdrawn = tuple(sorted(leaving | view.rollout.retiring & view.traffic.withdrawn_by(name)))
        await self.say(EndpointsWithdrawn(replica_ids=withdrawn, reason=WithdrawReason.IDLE, router=name))
        return True
