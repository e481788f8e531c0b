"""Which replicas have to leave. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from libs.common.cluster.port import ObservedReplica, ReplicaPhase
from libs.common.events.replica import Replica, ReplicaReason, ReplicaState
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

    surges: bool = True
    """Whether what it replaces stays until it is ready. Otherwise one of those leaves before, where there is
    no room for both."""


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
    """Which older run meets the load. None where the wanted one does, where load does not change the number
    (what a person asks for is for the wanted run alone), and where nothing surges (what room there is, is for
    the wanted run).

    staying: with those that are to be replaced elsewhere only where nobody else serves.
    """
    if not (wanted.is_autoscaled and wanted.surges):
        return None
    ready = Counter(s.observed.run_id for s in staying if s.is_ready)
    run_id = measured_run(ready, newest=wanted.run_id)
    if run_id == wanted.run_id:
        return None
    served = sum(s.was_ready for s in staying if s.observed.run_id == run_id)
    replicas = serving_replicas(in_force=wanted.replicas, has=served, new_run_ready=ready[wanted.run_id])
    return Serving(run_id, replicas) if replicas else None


def decide_retirement(
    wanted: Wanted,
    staying: Sequence[Staying],
    serving: Serving | None = None,
    *,
    is_making_room: bool = False,
) -> Retirement | None:
    """Who leaves besides those told before; None when nobody does. `ready` counts the wanted run.

    | wanted | ready     | of the wanted run        | of other runs           | reason               |
    |--------|-----------|--------------------------|-------------------------|----------------------|
    | 0      | -         | all                      | all                     | `wanted.stop_reason` |
    | N      | >= wanted | the excess over `wanted` | all                     | superseded if any of |
    | N      | > 0       | the excess over `wanted` | those that never served | them is of another   |
    |        |           |                          | and the excess of the   | run, else scaled_down|
    |        |           |                          | rest over N - `ready`   |                      |
    | N      | 0         | the excess over `wanted` | those that never served |                      |

    So each new one that is ready takes the place of an old one, and a rollout needs room for one more. Where
    `wanted` does not surge and there is no room even for that, one of the rest leaves before: when some new
    ones have no place, none is about to be ready, and nobody is on its way out. is_making_room: somebody is.

    The excess is taken from the replicas that are not ready, then from those that are; of each kind the
    youngest first. So all ready replicas together never drop below the smaller of `wanted` and what they
    were, unless one has to make room. Of a run that is `serving` so many stay as it is to have, though they
    have not served yet.
    """
    if wanted.replicas == 0:
        everyone = frozenset(s.observed.replica_id for s in staying)
        return Retirement(everyone, wanted.stop_reason) if everyone else None

    ours = _most_useful_first(s for s in staying if s.observed.run_id == wanted.run_id)
    others = _most_useful_first(s for s in staying if s.observed.run_id != wanted.run_id)
    ready = sum(s.is_ready for s in ours)
    served = [s for s in others if s.was_ready]
    kept = len(served) if ready == 0 else max(0, wanted.replicas - ready)
    if not wanted.surges and not is_making_room and 0 < len(served) <= kept and _lack_room(ours):
        kept = len(served) - 1
    superseded = _ids(s for s in others if not s.was_ready) | _ids(served[kept:])
    if serving is not None:
        starting = [s for s in others if s.observed.run_id == serving.run_id and not s.was_ready]
        superseded -= _ids(starting[: max(0, serving.replicas - kept)])
    surplus = _ids(ours[wanted.replicas :])

    if not superseded and not surplus:
        return None
    reason = RetireReason.SUPERSEDED if superseded else RetireReason.SCALED_DOWN
    return Retirement(superseded | surplus, reason)


def _lack_room(ours: Sequence[Staying]) -> bool:
    """Whether some of the new ones have no place, and none that has one is still to become ready."""
    waiting = [s for s in ours if not s.is_ready]
    return bool(waiting) and all(_has_no_place(s) for s in waiting)


def _has_no_place(one: Staying) -> bool:
    observed = one.observed
    return observed.phase is ReplicaPhase.PENDING and observed.reason is ReplicaReason.UNSCHEDULABLE


def _most_useful_first(some: Iterable[Staying]) -> list[Staying]:
    oldest_first = sorted(some, key=lambda s: (s.observed.created_at, s.observed.replica_id))
    return sorted(oldest_first, key=lambda s: (not s.is_ready, not s.was_ready))


def _ids(some: Iterable[Staying]) -> frozenset[str]:
    return frozenset(s.observed.replica_id for s in some)
