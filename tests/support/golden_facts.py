"""One fact of every type, fixed for ever: what tests/unit/events/golden/ holds as JSON."""

from datetime import UTC, datetime

from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, GitHeaders, SpecRegistered
from libs.common.events.fact import Fact
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.events.project import ProjectClosed, ProjectCreated, ProjectDeleted, ProjectRenamed
from libs.common.events.replica import (
    ProbeKind,
    Replica,
    ReplicaBecameReady,
    ReplicaBecameUnready,
    ReplicaCondemned,
    ReplicaReason,
    ReplicaRestarted,
    ReplicaStarted,
    ReplicaState,
    ReplicaStopped,
    RosterRecorded,
)
from libs.common.events.rollout import (
    LiveRun,
    Move,
    MoveReason,
    ReplicasMoving,
    ReplicasRetiring,
    RetireReason,
    RolloutPhase,
    RolloutProgressed,
    SpecApplied,
    SpecFailed,
    SpecFailedReason,
    SpecHealthy,
    WorkloadRemoved,
)
from libs.common.events.router import LeaveReason, RouterJoined, RouterLeft, RouterNamed
from libs.common.events.scaling import (
    LimitedTo,
    MetricName,
    MetricOutcome,
    ReplicasDecided,
    StabilisedTo,
)
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.scaling.cause import Cause
from libs.common.scaling.conditions import Reason
from libs.common.scaling.proposals import Unknown
from libs.common.spec.model import (
    Autoscaling,
    HealthCheck,
    HealthChecks,
    NameValue,
    Resources,
    ScalingBehavior,
    ScalingDirection,
    ScalingMetric,
    ScalingRate,
    Spec,
)

SPEC_ID, EARLIER_SPEC_ID = "5" * 32, "4" * 32
RUN_ID, EARLIER_RUN_ID = "e" * 32, "d" * 32
REPLICA_ID, OTHER_REPLICA_ID = "1" * 32, "2" * 32

SPEC = Spec(
    name="demo",
    image="example/app:1.0",
    command=("python", "-m", "app", "--port", "$(PORT)"),
    env=(NameValue(name="MODE", value="prod"),),
    resources=Resources(machine_type="A4000", ports=(8000, 9000), replicas=2),
    health_checks=HealthChecks(
        startup=HealthCheck(path="/startup/", port=8000, period_seconds=1, failure_threshold=60),
        readiness=HealthCheck(
            path="/readiness/",
            port=8000,
            host="app.example",
            headers=(NameValue(name="X-Probe", value="1"),),
            initial_delay_seconds=1,
            timeout_seconds=2,
        ),
        liveness=HealthCheck(path="/liveness/", port=9000),
    ),
)

ROSTER = (
    Replica(
        replica_id=REPLICA_ID,
        run_id=RUN_ID,
        spec_id=SPEC_ID,
        state=ReplicaState.RUNNING,
        address="127.0.0.1:40001",
        attempt=1,
        created_at=datetime(2026, 1, 31, 12, 0, 0, 123456, UTC),
        started_at=datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC),
        ready_at=datetime(2026, 1, 31, 12, 0, 4, 500000, UTC),
        condemned_attempt=0,
        reason=ReplicaReason.PROBE_SUCCEEDED,
        message="startup check: status 200",
    ),
    Replica(
        replica_id=OTHER_REPLICA_ID,
        slot=1,
        run_id=RUN_ID,
        spec_id=SPEC_ID,
        state=ReplicaState.PENDING,
        created_at=datetime(2026, 1, 31, 12, 0, 0, 123456, UTC),
    ),
)
_CHANGED = {"replica_id": REPLICA_ID, "replica": ROSTER[0]}

_FACTS: tuple[Fact, ...] = (
    NameClaimed(parent="default", name="demo ☕", owner_id="a" * 32),
    NameReleased(parent="default", name="demo ☕", owner_id="a" * 32),
    ProjectCreated(name="Research"),
    ProjectRenamed(name="Development"),
    ProjectClosed(name="Research"),
    ProjectDeleted(name="Research"),
    DeploymentCreated(name="demo"),
    SpecRegistered(
        spec_id=SPEC_ID,
        run_id=RUN_ID,
        spec=SPEC,
        git=GitHeaders(
            actor="ada", host="github", owner="example", ref="refs/heads/main", repo="app", sha="c0ffee"
        ),
        rolled_back_from=EARLIER_SPEC_ID,
    ),
    DeploymentDeleted(name="demo"),
    SpecApplied(
        spec_id=SPEC_ID,
        run_id=RUN_ID,
        runs=(
            LiveRun(run_id=RUN_ID, spec_id=SPEC_ID),
            LiveRun(run_id=EARLIER_RUN_ID, spec_id=EARLIER_SPEC_ID),
        ),
    ),
    SpecHealthy(spec_id=SPEC_ID, run_id=RUN_ID, replicas=2),
    SpecFailed(
        spec_id=SPEC_ID, reason=SpecFailedReason.NO_COMMAND, message="an image needs a container runtime"
    ),
    RolloutProgressed(
        spec_id=SPEC_ID,
        run_id=RUN_ID,
        phase=RolloutPhase.RETIRING,
        replicas=2,
        ready_replicas=2,
        leaving_replicas=1,
    ),
    ReplicasRetiring(replica_ids=(REPLICA_ID, OTHER_REPLICA_ID), reason=RetireReason.SUPERSEDED),
    ReplicasMoving(
        moves=(
            Move(
                replica_id=REPLICA_ID,
                reason=MoveReason.NODE_CORDONED,
                since=datetime(2026, 1, 31, 12, 0, 0, 123456, UTC),
                replicas=2,
            ),
        )
    ),
    WorkloadRemoved(),
    ReplicaStarted(**_CHANGED),
    ReplicaBecameReady(**_CHANGED, reason=ReplicaReason.PROBE_SUCCEEDED),
    ReplicaBecameUnready(
        **_CHANGED, reason=ReplicaReason.PROBE_FAILED, message="readiness check: status 503"
    ),
    ReplicaCondemned(
        **_CHANGED,
        probe=ProbeKind.LIVENESS,
        reason=ReplicaReason.PROBE_FAILED,
        message="liveness check: no answer in 1 s",
    ),
    ReplicaRestarted(**_CHANGED, reason=ReplicaReason.CONDEMNED, message="liveness check: status 500"),
    ReplicaStopped(**_CHANGED, reason=ReplicaReason.EXITED, message="exited with status 3"),
    RosterRecorded(page=0, pages=2, replicas=ROSTER),
    EndpointsWithdrawn(replica_ids=(REPLICA_ID,), reason=WithdrawReason.DEADLINE, active_requests=2),
    RouterJoined(),
    RouterLeft(reason=LeaveReason.TAKEN_OUT),
    RouterNamed(),
    ReplicasDecided(
        spec_id=SPEC_ID,
        stretch_id=EARLIER_SPEC_ID,
        from_replicas=3,
        to_replicas=5,
        floor=1,
        policy=Autoscaling(
            max_replicas=5,
            metrics=(
                ScalingMetric(metric="cpu", value=50),
                ScalingMetric(metric="requestDuration", value=0.15),
            ),
            behavior=ScalingBehavior(
                scale_up=ScalingDirection(
                    stabilization_window_seconds=0,
                    select_policy="Max",
                    policies=(ScalingRate(type="Pods", value=4, period_seconds=15),),
                    tolerance=0.1,
                )
            ),
        ),
        reason=Cause.METRIC_ABOVE_TARGET,
        metrics=(
            MetricOutcome(
                metric=MetricName.CPU,
                target=50,
                value=84,
                ratio=1.68,
                proposal=6,
                counted_ratio=1.68,
                counted=3,
                ready=3,
                window_s=15,
                age_s=2.5,
            ),
            MetricOutcome(metric=MetricName.REQUEST_DURATION, target=0.15, unknown=Unknown.NO_SAMPLES),
        ),
        winner=MetricName.CPU,
        stabilised=StabilisedTo(replicas=6, reason=Reason.READY_FOR_NEW_SCALE),
        limited=LimitedTo(replicas=5, reason=Reason.TOO_MANY_REPLICAS),
    ),
)

GOLDEN: dict[str, Fact] = {fact.event_type(): fact for fact in _FACTS}
