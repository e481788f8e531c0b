"""A deployment in the middle of something, in a few words: what the log says and what the cluster shows."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from libs.common.cluster.port import ObservedReplica, ObservedWorkload, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaReason, ReplicaState
from libs.common.events.rollout import LiveRun, Move, MoveReason, RolloutPhase, RolloutProgressed
from libs.common.scaling.in_force import Decided
from libs.common.services import ROUTER
from libs.common.spec.model import Resources, Spec
from libs.common.spec.template import make_template, run_id
from libs.common.state.deployment import DeploymentState
from libs.common.state.replica import Roster
from libs.common.state.rollout import RolloutState
from libs.common.state.router import ALONE
from libs.common.state.scaling import ScalingState
from libs.common.state.traffic import TrafficState
from libs.common.state.view import DeploymentView
from services.reconciler.plan import Plan
from services.reconciler.plan import plan as plan_at

PROJECT = "default"
DEPLOYMENT = "d" * 32
START = datetime(2026, 1, 1, tzinfo=UTC)
STRETCH = "spec-first"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spec(image: str = "a", replicas: int = 2, *, enabled: bool = True, name: str = "demo") -> Spec:
    """A spec whose image alone decides its run."""
    return Spec(
        name=name,
        image=image,
        enabled=enabled,
        command=("serve",),
        resources=Resources(machine_type="C4", ports=(8000,), replicas=replicas),
    )


def run_of(image: str) -> str:
    return run_id(make_template(spec(image)))


def listed(
    replica_id: str,
    *,
    state: ReplicaState = ReplicaState.RUNNING,
    was_ready: bool | None = None,
    attempt: int = 0,
    condemned: int | None = None,
) -> Replica:
    """A line of the roster. The run is the image named by the id's letter; its number is its age."""
    if was_ready is None:
        was_ready = state is ReplicaState.RUNNING
    return Replica(
        replica_id=replica_id,
        run_id=run_of(replica_id[0]),
        spec_id=f"spec-{replica_id[0]}",
        state=state,
        address="127.0.0.1:9000",
        attempt=attempt,
        created_at=START,
        ready_at=START if was_ready else None,
        condemned_attempt=condemned,
    )


def plan(
    view: DeploymentView,
    observed: ObservedWorkload | None,
    *,
    now: datetime = START,
    routers: frozenset[str] = ALONE,
) -> Plan:
    """The next step, at a time that says nothing."""
    return plan_at(view, observed, now=now, routers=routers)


def shown(
    replica_id: str,
    *,
    phase: ReplicaPhase = ReplicaPhase.RUNNING,
    attempt: int = 0,
    must_move: MoveReason | None = None,
    reason: ReplicaReason | None = None,
) -> ObservedReplica:
    """A replica as the cluster shows it, of the run named by the id's letter; its number is its age."""
    return ObservedReplica(
        replica_id=replica_id,
        run_id=run_of(replica_id[0]),
        spec_id=f"spec-{replica_id[0]}",
        template=make_template(spec(replica_id[0])),
        phase=phase,
        created_at=START + timedelta(seconds=int(replica_id[1:])),
        attempt=attempt,
        must_move=must_move,
        reason=reason,
    )


def observed(replicas: Iterable[ObservedReplica | str]) -> ObservedWorkload:
    return ObservedWorkload(
        PROJECT, DEPLOYMENT, 0, tuple(shown(r) if isinstance(r, str) else r for r in replicas)
    )


def runs(*letters: str) -> tuple[LiveRun, ...]:
    return tuple(LiveRun(run_id=run_of(letter), spec_id=f"spec-{letter}") for letter in letters)


def progressed(letter: str, phase: RolloutPhase, n: int, ready: int, leaving: int = 0) -> RolloutProgressed:
    return RolloutProgressed(
        spec_id=f"spec-{letter}",
        run_id=run_of(letter),
        phase=phase,
        replicas=n,
        ready_replicas=ready,
        leaving_replicas=leaving,
        since=START,
    )


def view(
    wanted: Spec | None = None,
    *,
    rollout: RolloutState | None = None,
    roster: Iterable[Replica | str] = (),
    withdrawn: Iterable[str] = (),
    is_deleted: bool = False,
    spec_id: str | None = None,
    sequence: int = 100,
    decided: int | None = None,
) -> DeploymentView:
    """The newest spec is `wanted`, and its id is `spec-<image>`; a replica given by id alone is ready.

    decided: what the autoscaler asked for last, in the stretch that the spec is in."""
    wanted = wanted or spec()
    return DeploymentView(
        PROJECT,
        DEPLOYMENT,
        deployment=DeploymentState(
            PROJECT,
            DEPLOYMENT,
            name=wanted.name,
            spec=wanted,
            spec_id=spec_id or f"spec-{wanted.image}",
            run_id=run_of(wanted.image),
            scaling_since=STRETCH if wanted.scale.is_autoscaled else None,
            spec_traceparent=TRACE,
            is_created=True,
            is_deleted=is_deleted,
        ),
        rollout=rollout or RolloutState(),
        roster=Roster.of(listed(r) if isinstance(r, str) else r for r in roster),
        traffic=TrafficState({ROUTER: frozenset(withdrawn)}),
        scaling=ScalingState() if decided is None else ScalingState(Decided(decided, STRETCH)),
        sequence=sequence,
    )


def settled(
    letter: str, n: int, *also: str, retiring: Iterable[str] = (), moves: Iterable[Move] = ()
) -> RolloutState:
    """The spec of run `letter` is applied, healthy and complete at n replicas; `also` are other runs held."""
    return RolloutState(
        applied_spec_id=f"spec-{letter}",
        healthy_spec_id=f"spec-{letter}",
        runs=runs(letter, *also),
        retiring=frozenset(retiring),
        moves=tuple(moves),
        progress=progressed(letter, RolloutPhase.COMPLETE, n, n),
    )
