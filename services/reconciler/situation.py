"""The facts and the observation of one deployment, brought together. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from libs.common.cluster.port import ObservedReplica, ReplicaPhase
from libs.common.events.rollout import LiveRun, Move, RetireReason
from libs.common.machine_types.catalogue import MachineTypes
from libs.common.spec.model import Spec
from libs.common.state.deployment import DeploymentState
from libs.common.state.rollout import RolloutState
from libs.common.state.router import ALONE
from libs.common.state.view import DeploymentView
from services.reconciler.moving import decide_moves
from services.reconciler.retiring import Serving, Staying, Wanted, find_serving

NO_MACHINE_TYPES: Final[MachineTypes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan is made from. spec, spec_id, run_id: the newest registered.

    wanted: what it asks for. present: every replica that the cluster shows. staying: those that were not told
    to leave and are not ending all the same: whoever ends them, their replacement does not wait for that.
    """

    view: DeploymentView
    deployment: DeploymentState
    spec: Spec
    spec_id: str
    run_id: str
    wanted: Wanted
    present: tuple[ObservedReplica, ...]
    staying: tuple[Staying, ...]
    moves: Mapping[str, Move] = field(default_factory=dict)
    """Those of the staying that are to be replaced elsewhere, by replica."""
    routers: frozenset[str] = ALONE
    """The names of those whose word is waited for before a replica ends."""

    @property
    def rollout(self) -> RolloutState:
        return self.view.rollout

    @property
    def staying_in(self) -> Mapping[str, int]:
        """How many replicas stay in each run; 0 for any other."""
        return Counter(staying.observed.run_id for staying in self.staying)

    @property
    def lasting_in(self) -> Mapping[str, int]:
        """How many of them are not to be replaced elsewhere."""
        return Counter(s.observed.run_id for s in self.lasting)

    @property
    def lasting(self) -> tuple[Staying, ...]:
        """Those of the staying that are not to be replaced elsewhere."""
        return tuple(s for s in self.staying if s.observed.replica_id not in self.moves)

    @property
    def serving(self) -> Serving | None:
        """An older run in which load is met, while the wanted one has too few that are ready. One that serves
        with none but replicas that are to be replaced elsewhere serves too: they are replaced in it."""
        return find_serving(self.wanted, self.lasting) or find_serving(self.wanted, self.staying)

    @property
    def goals(self) -> Mapping[str, int]:
        """By run, how many replicas it has to have: the number in force, and as many as it has where the
        newest spec has failed. A run that others take the place of has none, unless load is met there."""
        goals = self._goals_of_the_spec
        if (serving := self.serving) is not None:
            goals[serving.run_id] = max(serving.replicas, goals.get(serving.run_id, 0))
        return goals

    @property
    def _goals_of_the_spec(self) -> dict[str, int]:
        if not self.has_failed:
            return {self.run_id: self.wanted.replicas}
        recorded: dict[str, int] = {}
        run_of = {s.observed.replica_id: s.observed.run_id for s in self.staying}
        for move in self.rollout.moves:
            if (run_id := run_of.get(move.replica_id)) is not None:
                recorded[run_id] = max(move.replicas, recorded.get(run_id, 0))
        return {run_id: min(has, recorded.get(run_id, has)) for run_id, has in self.staying_in.items()}

    @property
    def ready(self) -> int:
        """How many replicas of the wanted run are ready."""
        return sum(s.is_ready for s in self.staying if s.observed.run_id == self.run_id)

    @property
    def floor(self) -> int:
        """How many of them make the newest spec healthy: those that there have to be without any load."""
        return self.deployment.wanted_replicas(None)

    @property
    def may_stall(self) -> bool:
        """Whether its rollout goes on: nothing of the newest spec has been healthy or refused."""
        return not self.has_failed and self.rollout.healthy_spec_id != self.spec_id

    @property
    def has_failed(self) -> bool:
        """Whether the cluster has refused the newest spec."""
        return self.deployment.exists and self.rollout.failed_spec_id == self.spec_id

    @property
    def is_new(self) -> bool:
        """Whether the newest spec is still to be applied."""
        return self.deployment.exists and not self.has_failed and self.rollout.applied_spec_id != self.spec_id

    @property
    def existing(self) -> frozenset[str]:
        """Every replica that the cluster shows or the roster lists."""
        listed = (replica.replica_id for replica in self.view.roster.replicas)
        return frozenset(listed) | {replica.replica_id for replica in self.present}

    @property
    def retiring(self) -> frozenset[str]:
        """Those told to leave that still exist."""
        return self.rollout.retiring & self.existing

    @property
    def is_making_room(self) -> bool:
        """Whether the cluster still shows one of them."""
        return any(replica.replica_id in self.rollout.retiring for replica in self.present)

    @property
    def stopping(self) -> frozenset[str]:
        """Those of them that no request can reach any more, by the word of every router."""
        return self.retiring & self.view.traffic.withdrawn_by_all(self.routers)

    @property
    def live_runs(self) -> tuple[LiveRun, ...]:
        """Every run that has or wants replicas, the wanted one first, each with the newest spec it carries
        out; in the order in which they came otherwise."""
        specs = {replica.run_id: replica.spec_id for replica in reversed(self.present)}
        held = frozenset(specs)
        specs |= {run.run_id: run.spec_id for run in self.rollout.runs}
        if not self.has_failed:
            specs[self.run_id] = self.spec_id
            if self.wanted.replicas:
                held |= {self.run_id}
        order = [self.run_id, *(run.run_id for run in self.rollout.runs), *(r.run_id for r in self.present)]
        return tuple(LiveRun(run_id=run, spec_id=specs[run]) for run in dict.fromkeys(order) if run in held)

    @property
    def condemned(self) -> tuple[ObservedReplica, ...]:
        """Whose present process a check has sentenced."""
        return tuple(
            staying.observed
            for staying in self.staying
            if staying.listed is not None
            and staying.listed.condemned_attempt == staying.observed.attempt
            and staying.observed.phase is ReplicaPhase.RUNNING
        )


def situate(
    view: DeploymentView,
    present: tuple[ObservedReplica, ...],
    now: datetime,
    machine_types: MachineTypes = NO_MACHINE_TYPES,
    routers: frozenset[str] = ALONE,
) -> Situation | None:
    """None where no spec was ever registered."""
    deployment = view.deployment
    if (
        deployment is None
        or deployment.spec is None
        or deployment.spec_id is None
        or deployment.run_id is None
    ):
        return None
    situation = Situation(
        view,
        deployment,
        deployment.spec,
        deployment.spec_id,
        deployment.run_id,
        Wanted(
            deployment.run_id,
            view.wanted_replicas,
            _stop_reason(deployment, deployment.spec),
            is_autoscaled=deployment.spec.scale.is_autoscaled,
            surges=_surges(deployment.spec, machine_types),
        ),
        present,
        tuple(
            Staying(replica, view.roster.get(replica.replica_id))
            for replica in present
            if replica.replica_id not in view.rollout.retiring and replica.phase is not ReplicaPhase.STOPPING
        ),
        routers=routers,
    )
    moves = decide_moves(view.rollout.moves, situation.staying, situation.goals, now)
    return replace(situation, moves=moves)


def _surges(spec: Spec, machine_types: MachineTypes) -> bool:
    """As the spec says, else its machine type."""
    if spec.resources.surge is not None:
        return spec.resources.surge
    machine_type = machine_types.get(spec.resources.machine_type)
    return machine_type is None or machine_type.surge


def _stop_reason(deployment: DeploymentState, spec: Spec) -> RetireReason:
    if deployment.is_deleted:
        return RetireReason.DELETED
    return RetireReason.SCALED_DOWN if spec.enabled else RetireReason.DISABLED
