"""A deployment's history, told in a few words, for tests that stand on the log."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from libs.common.domain import USUAL, endpoint_host
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.replica import (
    Replica,
    ReplicaBecameReady,
    ReplicaBecameUnready,
    ReplicaFact,
    ReplicaReason,
    ReplicaStarted,
    ReplicaState,
    ReplicaStopped,
    RosterRecorded,
)
from libs.common.events.rollout import (
    LiveRun,
    ReplicasRetiring,
    RetireReason,
    SpecApplied,
    SpecHealthy,
    WorkloadRemoved,
)
from libs.common.ids import new_id
from libs.common.log.port import EventLog
from libs.common.services import ROUTER
from libs.common.spec.model import Autoscaling, Resources, ScalingMetric, Spec
from libs.common.state.replica import Roster, free_slots, record
from libs.common.state.view import DeploymentView, fold

BORN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CAUSE = Cause(actor="test", correlation_id="test")


def a_spec(
    *, name: str = "demo", replicas: int = 1, enabled: bool = True, autoscaling: Autoscaling | None = None
) -> Spec:
    resources = Resources(machine_type="C4", ports=(8000,), replicas=replicas, autoscaling=autoscaling)
    return Spec(name=name, image="example/app:1.0", enabled=enabled, resources=resources)


def by_load(spec: Spec, *, most: int = 5, enabled: bool = True) -> Spec:
    """The same with autoscaling."""
    metrics = (ScalingMetric(metric="cpu", value=50),)
    block = Autoscaling(enabled=enabled, max_replicas=most, metrics=metrics)
    return spec.model_copy(update={"resources": spec.resources.model_copy(update={"autoscaling": block})})


def a_replica(
    replica_id: str,
    address: str | None,
    *,
    state: ReplicaState = ReplicaState.RUNNING,
    run_id: str = "run-1",
    spec_id: str = "spec-1",
    was_ready: bool = True,
) -> Replica:
    return Replica(
        replica_id=replica_id,
        run_id=run_id,
        spec_id=spec_id,
        state=state,
        address=address,
        created_at=BORN,
        started_at=BORN,
        ready_at=BORN if was_ready else None,
    )


@dataclass
class Storyteller:
    """Appends the facts of one deployment, as its services would."""

    log: EventLog
    deployment_id: str = field(default_factory=new_id)
    project_id: str = "default"
    roster: Roster = field(default_factory=Roster)

    @property
    def host(self) -> str:
        return endpoint_host(self.deployment_id, USUAL)

    async def tell(self, *facts: Fact) -> None:
        drafts = [Draft(Aggregate(self.project_id, f.aggregate, self.deployment_id), f) for f in facts]
        loaded = await self.log.load(*{draft.aggregate.filter for draft in drafts})
        await self.log.append(drafts, heads=loaded.heads, cause=CAUSE)

    async def change(self, *changes: ReplicaFact) -> None:
        """Facts of replicas, with the pages of the roster that they leave."""
        pages, self.roster = record(self.roster, changes)
        await self.tell(*pages, *changes)

    async def view(self) -> DeploymentView | None:
        return fold((await self.log.load(select(aggregate_id=self.deployment_id))).events)

    async def create(self, *, replicas: int = 1, spec_id: str = "spec-1", run_id: str = "run-1") -> None:
        await self.tell(
            DeploymentCreated(name="demo"),
            SpecRegistered(spec_id=spec_id, run_id=run_id, spec=a_spec(replicas=replicas)),
        )
        await self.apply(spec_id=spec_id, run_id=run_id)

    async def register(
        self, *, spec_id: str, run_id: str = "run-1", replicas: int = 1, enabled: bool = True
    ) -> None:
        spec = a_spec(replicas=replicas, enabled=enabled)
        await self.tell(SpecRegistered(spec_id=spec_id, run_id=run_id, spec=spec))

    async def autoscale(
        self, autoscaling: Autoscaling, *, replicas: int = 1, spec_id: str = "spec-1", run_id: str = "run-1"
    ) -> None:
        """Created by a spec that scales by load, applied and healthy."""
        spec = a_spec(replicas=replicas, autoscaling=autoscaling)
        await self.tell(
            DeploymentCreated(name="demo"),
            SpecRegistered(spec_id=spec_id, run_id=run_id, spec=spec, scaling_since=spec_id),
        )
        await self.apply(spec_id=spec_id, run_id=run_id)
        await self.tell(SpecHealthy(spec_id=spec_id, run_id=run_id, replicas=replicas))

    async def apply(self, *, spec_id: str, run_id: str) -> None:
        await self.tell(
            SpecApplied(spec_id=spec_id, run_id=run_id, runs=(LiveRun(run_id=run_id, spec_id=spec_id),))
        )

    async def ready(
        self, replica_id: str, address: str, *, run_id: str = "run-1", spec_id: str = "spec-1"
    ) -> None:
        replica = self._placed(a_replica(replica_id, address, run_id=run_id, spec_id=spec_id))
        reason = ReplicaReason.PROBE_SUCCEEDED
        await self.change(ReplicaBecameReady(replica_id=replica_id, replica=replica, reason=reason))

    async def starting(self, replica_id: str, address: str | None) -> None:
        replica = a_replica(replica_id, address, state=ReplicaState.STARTING, was_ready=False)
        await self.change(ReplicaStarted(replica_id=replica_id, replica=self._placed(replica)))

    async def unready(self, replica_id: str) -> None:
        replica = self.roster.by_id[replica_id].model_copy(update={"state": ReplicaState.UNREADY})
        await self.change(
            ReplicaBecameUnready(
                replica_id=replica_id,
                replica=replica,
                reason=ReplicaReason.PROBE_FAILED,
                message="readiness: 503",
            )
        )

    async def retire(self, *replica_ids: str, reason: RetireReason = RetireReason.SUPERSEDED) -> None:
        await self.tell(ReplicasRetiring(replica_ids=replica_ids, reason=reason))

    async def stopped(self, replica_id: str) -> None:
        await self.change(
            ReplicaStopped(replica_id=replica_id, reason=ReplicaReason.STOPPED, message="exit 0")
        )

    async def delete(self) -> None:
        await self.tell(DeploymentDeleted(name="demo"))

    async def removed(self) -> None:
        await self.tell(WorkloadRemoved())

    async def withdrawn(self, *, by: str = ROUTER) -> frozenset[str]:
        """by: the router."""
        view = await self.view()
        return view.traffic.withdrawn_by(by) if view else frozenset()

    def _placed(self, replica: Replica) -> Replica:
        known = self.roster.get(replica.replica_id)
        slot = known.slot if known else next(free_slots(self.roster.replicas))
        return replica.model_copy(update={"slot": slot})


def a_roster(*replicas: Replica) -> RosterRecorded:
    """A roster of one page, as a fact."""
    (page,) = Roster.of(replicas).pages.values()
    return RosterRecorded(page=0, pages=1, replicas=page)


def a_view(facts: Iterable[Fact], *, deployment_id: str = "d1") -> DeploymentView:
    """The view after these facts, without a log."""
    view = fold(
        Recorded(
            sequence=sequence,
            time=BORN,
            aggregate=Aggregate("default", fact.aggregate, deployment_id),
            type=fact.event_type(),
            event_id=f"e{sequence}",
            data={},
            fact=fact,
            cause=CAUSE,
            hash="",
            page=fact.subject_page(),
        )
        for sequence, fact in enumerate(facts, start=1)
    )
    assert view is not None
    return view
