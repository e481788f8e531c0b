"""Which replicas have to leave. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from libs.common.cluster.port import ObservedReplica, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaState
from libs.common.events.rollout import RetireReason
from libs.common.scaling.rollout import measured_run, serving_replicas


@dataclass(frozen=True, slots=True)
class Staying:
    """A replica that exists and has not been told to leave."""

    observed: ObservedReplica
    listed: Replica | None
    """Its line in the roster, if it has one."""

    @property
    def is_ready(self) -> bool:
        """Ready by the roster, and still the very process that the roster speaks of."""
        return (
            self.listed is not None
            and self.listed.state is ReplicaState.RUNNING
            and self.observed.phase is ReplicaPhase.RUNNING
            and self.listed.attempt == self.observed.attempt
        )

    @property
    def was_ready(self) -> bool:
        return self.listed is not None and self.listed.ready_at is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the newest spec asks for."""

    run_id: str
    replicas: int
    stop_reason: RetireReason
    """Why, where `replicas` is 0."""
    is_autoscaled: bool = False
    """Whether load changes the number."""


@dataclass(frozen=True, slots=True)
class Serving:
    """An older run that serves while the wanted one cannot yet."""

    run_id: str
    replicas: int
    """How many it is to have."""


@dataclass(frozen=True, slots=True)
class Retirement:
    replica_ids: frozenset[str]
    reason: RetireReason


def find_serving(wanted: Wanted, staying: Sequence[Staying]) -> Serving | None:
    """Which older run meets the load. None where the wanted one does, and where load does not change the
    number: then what a person asks for is for the wanted run alone.

    staying: without those that are to be replaced elsewhere.
    """
    if not wanted.is_autoscaled:
        return None
    ready = Counter(s.observed.run_id for s in staying if s.is_ready)
    run_id = measured_run(ready, newest=wanted.run_id)
    if run_id == wanted.run_id:
        return None
    served = sum(s.was_ready for s in staying if s.observed.run_id == run_id)
    replicas = serving_replicas(in_force=wanted.replicas, has=served, new_run_ready=ready[wanted.run_id])
    return Serving(run_id, replicas) if replicas else None


def decide_retirement(
    wanted: Wanted, staying: Sequence[Staying], serving: Serving | None = None
) -> Retirement | None:
    """Who leaves besides those told before; None when nobody does. `ready` counts the wanted run.

    | wanted | ready     | of the wanted run        | of other runs           | reason               |
    |--------|-----------|--------------------------|-------------------------|----------------------|
    | 0      | -         | all                      | all                     | `wanted.stop_reason` |
    | N      | >= wanted | the excess over `wanted` | all                     | superseded if any of |
    | N      | < wanted  | the excess over `wanted` | those that never served | them is of another   |
    |        |           |                          |                         | run, else scaled_down|

    The excess is taken from the replicas that are not ready, then from those that are; of each kind the
    youngest first. So the ready replicas of the wanted run never drop below the smaller of `wanted` and
    what they were. Of a run that is `serving` so many stay as it is to have, though they have not served yet.
    """
    if wanted.replicas == 0:
        everyone = frozenset(s.observed.replica_id for s in staying)
        return Retirement(everyone, wanted.stop_reason) if everyone else None

    ours = [s for s in staying if s.observed.run_id == wanted.run_id]
    others = [s for s in staying if s.observed.run_id != wanted.run_id]
    has_enough = sum(s.is_ready for s in ours) >= wanted.replicas
    superseded = frozenset(s.observed.replica_id for s in others if has_enough or not s.was_ready)
    if serving is not None and not has_enough:
        serves = [s for s in others if s.observed.run_id == serving.run_id]
        superseded -= {s.observed.replica_id for s in _most_useful_first(serves)[: serving.replicas]}

    surplus = frozenset(s.observed.replica_id for s in _most_useful_first(ours)[wanted.replicas :])

    if not superseded and not surplus:
        return None
    reason = RetireReason.SUPERSEDED if superseded else RetireReason.SCALED_DOWN
    return Retirement(superseded | surplus, reason)


def _most_useful_first(replicas: Sequence[Staying]) -> list[Staying]:
    oldest_first = sorted(replicas, key=lambda s: (s.observed.created_at, s.observed.replica_id))
    return sorted(oldest_first, key=lambda s: (not s.is_ready, not s.was_ready))
