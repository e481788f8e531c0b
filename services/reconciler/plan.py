"""What to do about one deployment, from what the log says and what the cluster shows. Pure.

An empty plan means converged, or that somebody else moves next: health makes replicas ready, the router
withdraws them, the cluster ends them.
"""

from collections import Counter
from dataclasses import dataclass

from libs.common.cluster.port import ObservedReplica, ObservedWorkload, ReplicaPhase, RunWorkload, Workload
from libs.common.events.rollout import (
    LiveRun,
    ReplicasRetiring,
    RetireReason,
    RolloutFact,
    RolloutPhase,
    RolloutProgressed,
    SpecApplied,
    SpecHealthy,
    WorkloadRemoved,
)
from libs.common.spec.model import Spec
from libs.common.spec.template import make_template
from libs.common.state.deployment import DeploymentState
from libs.common.state.view import DeploymentView
from services.reconciler.retiring import Retirement, Staying, Wanted, decide_retirement


@dataclass(frozen=True, slots=True)
class Restart:
    """End this process of a replica, so that the cluster starts it again."""

    replica_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One step. It is performed in this order, and each part may be done twice: restarts, then `workload`
    or the removal, then the facts, all in one append. A death in between leads to the same plan again.

    fence: the newest event that the plan rests on.
    """

    fence: int
    restarts: tuple[Restart, ...] = ()
    workload: Workload | None = None
    is_removal: bool = False
    facts: tuple[RolloutFact, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.restarts or self.workload or self.is_removal or self.facts)

    @property
    def retires(self) -> bool:
        """Whether it rests on who is ready right now, so that the roster must not have changed since."""
        return any(isinstance(fact, ReplicasRetiring) for fact in self.facts)


def plan(view: DeploymentView, observed: ObservedWorkload | None) -> Plan:
    """The next step for a deployment; `observed` is None where the cluster knows nothing of it.

    The cluster says what exists, the roster (which may lag behind it) what is ready. N is the number of
    replicas that the newest spec wants: 0 when it is disabled or deleted. A replica told to leave never
    counts again; whom to tell is the table of `decide_retirement`.

    | the log says                        | the cluster shows           | step                     |
    |-------------------------------------|-----------------------------|--------------------------|
    | no spec                             | -                           | nothing                  |
    | a spec not applied, not failed      | -                           | apply, SpecApplied       |
    | the spec is applied                 | fewer than N staying in it  | apply                    |
    | the spec has failed                 | -                           | all runs stay as they are|
    | a retiring replica is withdrawn     | it, not yet told to end     | apply, it is `stopping`  |
    | a staying process is condemned      | that process, running       | restart                  |
    | the spec is applied                 | other runs than recorded    | SpecApplied              |
    | the spec is not known to be healthy | N > 0, and N ready in it    | SpecHealthy              |
    | see `decide_retirement`             | replicas that have to leave | ReplicasRetiring         |
    | other spec or phase; or some retire | -                           | RolloutProgressed        |
    | deleted, empty roster               | no replica                  | remove, WorkloadRemoved  |
    | removed                             | anything: a late old plan's | remove                   |

    While the wanted run has fewer than N ready replicas, other runs keep theirs: they are named with the
    number they have, and none is made anew. ReplicasRetiring precedes its effect by a whole step, since
    `stopping` needs the router's answer to it; every other fact follows its effect.
    """
    deployment = view.deployment
    if deployment is None:
        return Plan(view.sequence)
    present = observed.replicas if observed else ()
    if deployment.is_deleted:
        if view.rollout.is_removed:
            return Plan(view.sequence, is_removal=observed is not None)
        if not present and not view.roster.replicas:
            return Plan(view.sequence, is_removal=True, facts=(WorkloadRemoved(),))
    if deployment.spec is None or deployment.spec_id is None or deployment.run_id is None:
        return Plan(view.sequence)
    planner = _Planner(
        view,
        deployment,
        spec=deployment.spec,
        spec_id=deployment.spec_id,
        run_id=deployment.run_id,
        present=present,
    )
    return planner.plan()


class _Planner:
    """The facts and the observation brought together, and one method for each part of the step."""

    def __init__(
        self,
        view: DeploymentView,
        deployment: DeploymentState,
        *,
        spec: Spec,
        spec_id: str,
        run_id: str,
        present: tuple[ObservedReplica, ...],
    ) -> None:
        self.view = view
        self.rollout = view.rollout
        self.deployment = deployment
        self.spec = spec
        self.spec_id = spec_id
        self.run_id = run_id
        self.wanted = Wanted(run_id, deployment.wanted_replicas, _stop_reason(deployment, spec))
        self.present = present
        self.staying = tuple(
            Staying(replica, view.roster.get(replica.replica_id))
            for replica in present
            if replica.replica_id not in view.rollout.retiring
        )
        self.staying_in = Counter(staying.observed.run_id for staying in self.staying)
        self.ready = sum(s.is_ready for s in self.staying if s.observed.run_id == run_id)
        self.has_failed = deployment.exists and view.rollout.failed_spec_id == spec_id
        self.is_new = deployment.exists and not self.has_failed and view.rollout.applied_spec_id != spec_id

    def plan(self) -> Plan:
        workload = self.workload() if self.needs_apply() else None
        # A spec that cannot be applied must not cost the run before it anything.
        retirement = None if self.has_failed else decide_retirement(self.wanted, self.staying)
        facts = (
            *self.applied_facts(),
            *self.retiring_facts(retirement),
            *self.progress_facts(retirement),
        )
        return Plan(self.view.sequence, restarts=self.restarts(), workload=workload, facts=facts)

    def needs_apply(self) -> bool:
        lacks_replicas = not self.has_failed and self.staying_in[self.run_id] < self.wanted.replicas
        stopping = self.stopping()
        has_unreported = any(
            replica.replica_id in stopping and replica.phase is not ReplicaPhase.STOPPING
            for replica in self.present
        )
        return self.is_new or lacks_replicas or has_unreported

    def workload(self) -> Workload:
        """The wanted run at N, every other one at what it has; all at what they have if the spec failed."""
        templates = {staying.observed.run_id: staying.observed.template for staying in self.staying}
        numbers = dict(self.staying_in)
        if not self.has_failed:
            templates[self.run_id] = make_template(self.spec)
            numbers[self.run_id] = self.wanted.replicas
        runs = tuple(
            RunWorkload(run.run_id, run.spec_id, templates[run.run_id], numbers[run.run_id])
            for run in self.live_runs()
            if numbers.get(run.run_id)
        )
        return Workload(
            project_id=self.view.project_id,
            deployment_id=self.view.deployment_id,
            runs=runs,
            retiring=self.rollout.retiring & self.existing(),
            stopping=self.stopping(),
            traceparent=self.deployment.spec_traceparent,
        )

    def existing(self) -> frozenset[str]:
        """Every replica that the cluster shows or the roster lists."""
        listed = (replica.replica_id for replica in self.view.roster.replicas)
        return frozenset(listed) | {replica.replica_id for replica in self.present}

    def stopping(self) -> frozenset[str]:
        return self.rollout.retiring & self.view.traffic.withdrawn & self.existing()

    def restarts(self) -> tuple[Restart, ...]:
        return tuple(
            Restart(staying.observed.replica_id, staying.observed.attempt)
            for staying in self.staying
            if staying.listed is not None
            and staying.listed.condemned_attempt == staying.observed.attempt
            and staying.observed.phase is ReplicaPhase.RUNNING
        )

    def live_runs(self) -> tuple[LiveRun, ...]:
        """Every run that has or wants replicas, the wanted one first, each with the newest spec it carries
        out; in the order in which they came otherwise."""
        specs = {replica.run_id: replica.spec_id for replica in reversed(self.present)}
        held = frozenset(specs)
        specs |= {run.run_id: run.spec_id for run in self.rollout.runs}
        if not self.has_failed:
            specs[self.run_id] = self.spec_id
        if self.wanted.replicas and not self.has_failed:
            held |= {self.run_id}
        order = [self.run_id, *(run.run_id for run in self.rollout.runs), *(r.run_id for r in self.present)]
        return tuple(LiveRun(run_id=run, spec_id=specs[run]) for run in dict.fromkeys(order) if run in held)

    def applied_facts(self) -> list[RolloutFact]:
        if not self.deployment.exists or self.has_failed:
            return []
        facts: list[RolloutFact] = []
        runs = self.live_runs()
        if self.is_new or runs != self.rollout.runs:
            facts.append(SpecApplied(spec_id=self.spec_id, run_id=self.run_id, runs=runs))
        is_healthy = 0 < self.wanted.replicas <= self.ready
        if is_healthy and self.rollout.healthy_spec_id != self.spec_id:
            facts.append(SpecHealthy(spec_id=self.spec_id, run_id=self.run_id, replicas=self.wanted.replicas))
        return facts

    def retiring_facts(self, retirement: Retirement | None) -> list[RolloutFact]:
        if retirement is None:
            return []
        leaving = retirement.replica_ids | (self.rollout.retiring & self.existing())
        return [ReplicasRetiring(replica_ids=tuple(sorted(leaving)), reason=retirement.reason)]

    def progress_facts(self, retirement: Retirement | None) -> list[RolloutFact]:
        """The phase by the table of `RolloutProgressed`."""
        leaving = self.rollout.retiring & self.existing()
        leaving |= {s.observed.replica_id for s in self.staying if s.observed.run_id != self.run_id}
        if retirement is not None:
            leaving |= retirement.replica_ids
        if self.ready < self.wanted.replicas:
            phase = RolloutPhase.WAITING_FOR_READY
        elif leaving:
            phase = RolloutPhase.RETIRING
        elif self.wanted.replicas:
            phase = RolloutPhase.COMPLETE
        else:
            phase = RolloutPhase.STOPPED
        before = self.rollout.progress
        is_news = before is None or before.phase is not phase or before.spec_id != self.spec_id
        if not is_news and retirement is None:
            return []
        return [
            RolloutProgressed(
                spec_id=self.spec_id,
                run_id=self.run_id,
                phase=phase,
                replicas=self.wanted.replicas,
                ready_replicas=self.ready,
                leaving_replicas=len(leaving),
            )
        ]


def _stop_reason(deployment: DeploymentState, spec: Spec) -> RetireReason:
    if deployment.is_deleted:
        return RetireReason.DELETED
    return RetireReason.SCALED_DOWN if spec.enabled else RetireReason.DISABLED
