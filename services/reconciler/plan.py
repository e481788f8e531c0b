"""What to do about one deployment, from what the log says and what the cluster shows. Pure.

An empty plan means converged, or that somebody else moves next: health makes replicas ready, the router
withdraws them, the cluster ends them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from libs.common.cluster.port import ObservedWorkload, ReplicaPhase, RunWorkload, Workload
from libs.common.events.rollout import (
    MoveReason,
    ReplicasMoving,
    ReplicasRetiring,
    RetireReason,
    RolloutFact,
    RolloutPhase,
    RolloutProgressed,
    SpecApplied,
    SpecHealthy,
    WorkloadRemoved,
)
from libs.common.machine_types.catalogue import MachineTypes
from libs.common.spec.template import make_template
from libs.common.state.router import ALONE
from libs.common.state.view import DeploymentView
from services.reconciler.moving import MOVE_S, decide_departures
from services.reconciler.retiring import Retirement, decide_retirement
from services.reconciler.situation import NO_MACHINE_TYPES, Situation, situate
from services.reconciler.stalling import ROLLOUT_S, is_overdue, why_stalled


class Because(StrEnum):
    """Why a plan changes something on the cluster; closed."""

    SPEC_IS_NEW = "spec_is_new"
    REPLICAS_ARE_MISSING = "replicas_are_missing"
    REPLICAS_HAVE_TO_MOVE = "replicas_have_to_move"
    """There have to be others elsewhere before they leave."""
    REPLICAS_ARE_WITHDRAWN = "replicas_are_withdrawn"
    """They get no requests any more and are told to end."""
    RECORD_WAS_CHANGED = "record_was_changed"
    """Somebody else has changed what the cluster knows of the deployment."""
    CHECK_FAILED = "check_failed"
    """A startup or liveness check has sentenced a process."""
    DEPLOYMENT_DELETED = "deployment_deleted"
    OLDER_PLAN_CAME_LATE = "older_plan_came_late"
    """It was removed, and a plan from before made something again."""
    UNKNOWN_TO_THE_LOG = "unknown_to_the_log"


@dataclass(frozen=True, slots=True)
class Restart:
    """End this process of a replica, so that the cluster starts it again."""

    replica_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One step. It is performed in this order, and each part may be done twice: restarts, then `workload`
    or the removal, then the facts, all in one append. A death in between leads to the same plan again.
    """

    fence: int
    """The newest event that the plan rests on."""
    because: tuple[Because, ...] = ()
    """Why anything is done to the cluster; the facts say themselves why they are true."""
    restarts: tuple[Restart, ...] = ()
    workload: Workload | None = None
    is_removal: bool = False
    facts: tuple[RolloutFact, ...] = ()
    progress: RolloutProgressed | None = field(default=None, compare=False)
    """How the rollout stands, whether or not that is news and so among the facts."""
    depends_on_time: bool = field(default=False, compare=False)
    """Whether time alone gives another plan."""

    @property
    def is_empty(self) -> bool:
        return not (self.restarts or self.workload or self.is_removal or self.facts)

    @property
    def retires(self) -> bool:
        """Whether it rests on who is ready right now, so that the roster must not have changed since."""
        return any(isinstance(fact, ReplicasRetiring) for fact in self.facts)


def plan(
    view: DeploymentView,
    observed: ObservedWorkload | None,
    *,
    now: datetime,
    move_s: float = MOVE_S,
    rollout_s: float = ROLLOUT_S,
    machine_types: MachineTypes = NO_MACHINE_TYPES,
    routers: frozenset[str] = ALONE,
) -> Plan:
    """The next step for a deployment; `observed` is None where the cluster knows nothing of it.

    The cluster says what exists, the roster (which may lag behind it) what is ready. N is the number of
    replicas in force: 0 when the newest spec is disabled, or it is deleted. A replica told to leave never
    counts again; whom to tell is the table of `decide_retirement`. One that has to be replaced elsewhere does
    not count either, and leaves by the table of `decide_departures`.

    move_s: how long there may be no place for what replaces one on a node that ends. rollout_s: how long it
    may take until a spec is healthy. machine_types: as far as they say how a rollout goes.
    routers: the names of those that have joined.

    | the log says                        | the cluster shows           | step                     |
    |-------------------------------------|-----------------------------|--------------------------|
    | no spec                             | -                           | nothing                  |
    | a spec not applied, not failed      | -                           | apply, SpecApplied       |
    | the spec is applied                 | fewer than N staying in it  | apply                    |
    | a replica is not said to move       | it has to                   | apply, ReplicasMoving    |
    | -                                   | that its record was changed | apply                    |
    | the spec has failed                 | -                           | all runs stay as they are|
    | every router has withdrawn a        | it, not yet told to end     | apply, it is `stopping`  |
    | retiring replica                    |                             |                          |
    | a staying process is condemned      | that process, running       | restart                  |
    | the spec is applied                 | other runs than recorded    | SpecApplied              |
    | the spec is not known to be healthy | N > 0, `floor` ready in it  | SpecHealthy              |
    | N goes by load, and too few of the  | fewer than N staying in the | apply                    |
    | spec's run are ready                | older run that serves       |                          |
    | see `decide_retirement`             | replicas that have to leave | ReplicasRetiring         |
    | other spec or phase; or some retire | -                           | RolloutProgressed        |
    | deleted, empty roster               | no replica                  | remove, WorkloadRemoved  |
    | removed                             | anything: a late old plan's | remove                   |

    While the wanted run has fewer than N ready replicas, other runs are named with the number they have, and
    none of theirs is made anew but where N goes by load. Then the older run that serves has what the wanted
    one lacks, so that a broken spec and more load together are no outage. ReplicasRetiring precedes its
    effect by a whole step, since `stopping` needs the routers' answers to it; every other fact follows its
    effect.
    """
    deployment = view.deployment
    if deployment is None:
        return Plan(view.sequence)
    present = observed.replicas if observed else ()
    if deployment.is_deleted:
        if view.rollout.is_removed:
            if observed is None:
                return Plan(view.sequence)
            return Plan(view.sequence, because=(Because.OLDER_PLAN_CAME_LATE,), is_removal=True)
        if not present and not view.roster.replicas:
            return Plan(
                view.sequence,
                because=(Because.DEPLOYMENT_DELETED,),
                is_removal=True,
                facts=(WorkloadRemoved(),),
            )
    situation = situate(view, present, now, machine_types, routers)
    if situation is None:
        return Plan(view.sequence)
    restarts = tuple(Restart(replica.replica_id, replica.attempt) for replica in situation.condemned)
    because = decide_application(situation)
    if observed is not None and observed.is_altered:
        because = (*because, Because.RECORD_WAS_CHANGED)
    departures = decide_departures(
        situation.moves, situation.staying, situation.goals, now=now, move_s=move_s
    )
    retirement = decide_leaving(situation, departures)
    progress = decide_progress(situation, retirement, now=now, rollout_s=rollout_s)
    return Plan(
        view.sequence,
        because=(*because, *((Because.CHECK_FAILED,) if restarts else ())),
        restarts=restarts,
        workload=make_workload(situation) if because else None,
        facts=(
            *applied_facts(situation),
            *moving_facts(situation),
            *retiring_facts(situation, retirement),
            *progress_facts(situation, retirement, progress),
        ),
        progress=progress,
        depends_on_time=(situation.may_stall and situation.ready < situation.wanted.replicas)
        or any(staying.observed.must_move is MoveReason.NODE_ENDS for staying in situation.staying),
    )


def decide_application(situation: Situation) -> tuple[Because, ...]:
    """Why the workload has to be applied; empty when it has not."""
    s = situation
    # Each is counted once, not for every replica or run again.
    stopping, staying_in, lasting_in, goals = s.stopping, s.staying_in, s.lasting_in, s.goals
    found = {
        Because.SPEC_IS_NEW: s.is_new,
        Because.REPLICAS_ARE_MISSING: any(staying_in[run_id] < goal for run_id, goal in goals.items()),
        Because.REPLICAS_HAVE_TO_MOVE: any(
            lasting_in[run_id] < min(goal, staying_in[run_id]) for run_id, goal in goals.items()
        ),
        Because.REPLICAS_ARE_WITHDRAWN: any(
            replica.replica_id in stopping and replica.phase is not ReplicaPhase.STOPPING
            for replica in s.present
        ),
    }
    return tuple(because for because, is_so in found.items() if is_so)


def make_workload(situation: Situation) -> Workload:
    """The wanted run at N, every other one at what it has; all at what they have if the spec failed. Those to
    be replaced elsewhere come on top of that."""
    s = situation
    templates = {staying.observed.run_id: staying.observed.template for staying in s.staying}
    if not s.has_failed:
        templates[s.run_id] = make_template(s.spec)
    staying_in, lasting_in = s.staying_in, s.lasting_in
    numbers = {
        **staying_in,
        **{run_id: goal + staying_in[run_id] - lasting_in[run_id] for run_id, goal in s.goals.items()},
    }
    return Workload(
        project_id=s.view.project_id,
        deployment_id=s.view.deployment_id,
        runs=tuple(
            RunWorkload(run.run_id, run.spec_id, templates[run.run_id], numbers[run.run_id])
            for run in s.live_runs
            if numbers.get(run.run_id)
        ),
        retiring=s.retiring,
        stopping=s.stopping,
        traceparent=s.deployment.spec_traceparent,
    )


def applied_facts(situation: Situation) -> list[RolloutFact]:
    s = situation
    if not s.deployment.exists or s.has_failed:
        return []
    facts: list[RolloutFact] = []
    if s.is_new or s.live_runs != s.rollout.runs:
        facts.append(SpecApplied(spec_id=s.spec_id, run_id=s.run_id, runs=s.live_runs))
    is_healthy = 0 < s.floor <= s.ready
    if is_healthy and s.rollout.healthy_spec_id != s.spec_id:
        facts.append(SpecHealthy(spec_id=s.spec_id, run_id=s.run_id, replicas=s.floor))
    return facts


def decide_leaving(situation: Situation, departures: frozenset[str]) -> Retirement | None:
    """Who leaves, for whatever reason; `departures` are those that have been replaced elsewhere."""
    s = situation
    # A spec that cannot be applied must not cost the run before it anything.
    retirement = (
        None
        if s.has_failed
        else decide_retirement(s.wanted, s.lasting, s.serving, is_making_room=s.is_making_room)
    )
    if not departures:
        return retirement
    if retirement is None:
        return Retirement(departures, RetireReason.MOVED)
    return Retirement(retirement.replica_ids | departures, retirement.reason)


def moving_facts(situation: Situation) -> list[RolloutFact]:
    s = situation
    known = {move.replica_id for move in s.rollout.moves}
    if s.moves.keys() <= known:
        return []
    return [ReplicasMoving(moves=tuple(sorted(s.moves.values(), key=lambda m: (m.since, m.replica_id))))]


def retiring_facts(situation: Situation, retirement: Retirement | None) -> list[RolloutFact]:
    if retirement is None:
        return []
    leaving = retirement.replica_ids | situation.retiring
    return [ReplicasRetiring(replica_ids=tuple(sorted(leaving)), reason=retirement.reason)]


def decide_progress(
    situation: Situation, retirement: Retirement | None, *, now: datetime, rollout_s: float
) -> RolloutProgressed:
    """The phase by the table of `RolloutProgressed`."""
    s = situation
    leaving = s.retiring | {one.observed.replica_id for one in s.staying if one.observed.run_id != s.run_id}
    if retirement is not None:
        leaving |= retirement.replica_ids
    before = s.rollout.progress
    since = before.since or now if before is not None and before.spec_id == s.spec_id else now
    if s.ready < s.wanted.replicas:
        is_stalled = s.may_stall and is_overdue(since, now, rollout_s)
        phase = RolloutPhase.STALLED if is_stalled else RolloutPhase.WAITING_FOR_READY
    elif leaving:
        phase = RolloutPhase.RETIRING
    elif s.wanted.replicas:
        phase = RolloutPhase.COMPLETE
    else:
        phase = RolloutPhase.STOPPED
    return RolloutProgressed(
        spec_id=s.spec_id,
        run_id=s.run_id,
        phase=phase,
        replicas=s.wanted.replicas,
        ready_replicas=s.ready,
        leaving_replicas=len(leaving),
        since=since,
        message=why_stalled(s.wanted, s.staying, rollout_s) if phase is RolloutPhase.STALLED else None,
    )


def progress_facts(
    situation: Situation, retirement: Retirement | None, progress: RolloutProgressed
) -> list[RolloutFact]:
    before = situation.rollout.progress
    is_news = before is None or (before.phase, before.spec_id) != (progress.phase, progress.spec_id)
    return [progress] if is_news or retirement is not None else []
