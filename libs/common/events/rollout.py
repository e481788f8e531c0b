"""Facts of a `rollout`: what the reconciler did about a deployment's spec. Its id is the deployment's."""

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from libs.common.events.fact import Fact, MadeId
from libs.common.moment import Moment


class RolloutFact(Fact):
    aggregate: ClassVar[str] = "rollout"


class LiveRun(BaseModel):
    """A run that has or wants replicas, and the newest spec that it carries out."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    run_id: MadeId
    spec_id: MadeId


class SpecApplied(RolloutFact):
    """The cluster has accepted the workload of `spec_id`.

    runs: every run that the cluster now holds for this deployment, the wanted one first.
    """

    spec_id: MadeId
    run_id: MadeId
    runs: tuple[LiveRun, ...]


class SpecHealthy(RolloutFact):
    """As many replicas of the spec's run as it asks for, whatever the load, are ready."""

    spec_id: MadeId
    run_id: MadeId
    replicas: int


class SpecFailedReason(StrEnum):
    NO_COMMAND = "no_command"
    CANNOT_APPLY = "cannot_apply"


class SpecFailed(RolloutFact):
    """The whole configuration could not be applied; a crashing replica is not this. It is tried again now and
    then, and applied when the cluster allows it by then."""

    spec_id: MadeId
    reason: SpecFailedReason
    message: str


class RolloutPhase(StrEnum):
    WAITING_FOR_READY = "waiting_for_ready"
    STALLED = "stalled"
    RETIRING = "retiring"
    COMPLETE = "complete"
    STOPPED = "stopped"


class RolloutProgressed(RolloutFact):
    """The rollout entered another phase, or is kept in its phase by something else than before; the numbers
    are those that led to it.

    | phase             | the wanted run                       | replicas that must go |
    |-------------------|--------------------------------------|-----------------------|
    | waiting_for_ready | has fewer ready replicas than wanted | kept while they serve |
    | stalled           | the same, and never had enough for   | kept while they serve |
    |                   | longer than a rollout may take       |                       |
    | retiring          | has enough                           | some are left         |
    | complete          | has enough                           | none                  |
    | stopped           | wants none                           | none                  |

    since: when the rollout of this spec began. message: why it is stalled, where it is; why it waits, where
    the cluster does not let it have its replicas, such as by a quota.
    """

    spec_id: MadeId
    run_id: MadeId
    phase: RolloutPhase
    replicas: int
    ready_replicas: int
    leaving_replicas: int
    since: Moment | None = None
    message: str | None = None


class RetireReason(StrEnum):
    SUPERSEDED = "superseded"
    SCALED_DOWN = "scaled_down"
    DISABLED = "disabled"
    DELETED = "deleted"
    MOVED = "moved"
    """It is replaced, elsewhere as a rule: its node is to be emptied, or does not answer, or somebody has
    changed it by hand."""


class ReplicasRetiring(RolloutFact):
    """`replica_ids` are all replicas that are to leave: no new request, then SIGTERM. Final for each."""

    replica_ids: tuple[MadeId, ...]
    reason: RetireReason


class MoveReason(StrEnum):
    """What is the matter with a replica or its node; closed."""

    NODE_CORDONED = "node_cordoned"
    """Nothing new is placed there: it is about to be emptied, as a rule."""
    NODE_ENDS = "node_ends"
    """Its end is announced, so that nothing on it will stay whatever we do."""
    NODE_LOST = "node_lost"
    """It has not answered for so long that nothing is expected of it."""
    POD_CHANGED = "pod_changed"
    """Somebody has changed by hand what it is: its image, or our labels."""


class Move(BaseModel):
    """One replica that has to go elsewhere, and since when.

    replicas: how many its run has to have meanwhile, itself not counted.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    replica_id: MadeId
    reason: MoveReason
    since: Moment
    replicas: int


class ReplicasMoving(RolloutFact):
    """`moves` are all replicas that are to be replaced elsewhere before they leave. Final for each: a move
    that was begun is finished, whatever becomes of its reason."""

    moves: tuple[Move, ...]


class WorkloadRemoved(RolloutFact):
    """Nothing is left on the cluster of a deleted deployment."""
