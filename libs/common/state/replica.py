"""The roster: the fold of a `replica` aggregate. Pure."""

from dataclasses import dataclass

from libs.common.events.envelope import Recorded
from libs.common.events.replica import Replica, ReplicaFact, ReplicaState


@dataclass(frozen=True, slots=True)
class Roster:
    """Every replica that exists, oldest first."""

    replicas: tuple[Replica, ...] = ()

    def get(self, replica_id: str) -> Replica | None:
        return next((r for r in self.replicas if r.replica_id == replica_id), None)

    def ready(self, run_id: str | None = None) -> tuple[Replica, ...]:
        """The replicas that may get requests, of one run or of all."""
        return tuple(
            r
            for r in self.replicas
            if r.state is ReplicaState.RUNNING and (run_id is None or r.run_id == run_id)
        )


def evolve(state: Roster, event: Recorded) -> Roster:
    """Never fails; every replica fact carries the whole roster, so the newest one is the state."""
    if isinstance(event.fact, ReplicaFact):
        return Roster(event.fact.roster)
    return state
