"""What the reconciler has done about a deployment's spec: the fold of a `rollout` aggregate. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from libs.common.events.envelope import Recorded
from libs.common.events.rollout import (
    LiveRun,
    Move,
    ReplicasMoving,
    ReplicasRetiring,
    RolloutPhase,
    RolloutProgressed,
    SpecApplied,
    SpecFailed,
    SpecHealthy,
    WorkloadRemoved,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest phase, and of which spec; without the numbers that led to it."""

    spec_id: str
    phase: RolloutPhase
    since: datetime | None = None
    """When the rollout of this spec began."""
    message: str | None = None
    """Why it waits or is stalled, where that was said."""


NOBODY_LEAVES: Final = frozenset({RolloutPhase.COMPLETE, RolloutPhase.STOPPED})
"""Phases in which no replica that was told to leave is left."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    applied_spec_id: str | None = None
    """The newest spec that was said to be applied."""
    healthy_spec_id: str | None = None
    """The newest spec that was said to be healthy."""
    failed_spec_id: str | None = None
    """The newest spec that was said to have failed, unless it was applied since."""
    failure: str | None = None
    """Why that spec failed."""
    runs: tuple[LiveRun, ...] = ()
    """The runs that the cluster holds, each with the newest spec it carries out."""
    retiring: frozenset[str] = frozenset()
    """Replicas that are to leave."""
    moves: tuple[Move, ...] = ()
    """Replicas that are to be replaced elsewhere before they leave."""
    progress: Progress | None = None
    is_removed: bool = False

    @property
    def all_have_left(self) -> bool:
        """Whether none of the `retiring`, which stay named until others are, was there any more when the
        reconciler looked last. Were one there again, it would say another phase."""
        return self.progress is not None and self.progress.phase in NOBODY_LEAVES

    @property
    def specs(self) -> Mapping[str, str]:
        """By run, the newest spec that it carries out."""
        return {run.run_id: run.spec_id for run in self.runs}


def evolve(state: RolloutState, event: Recorded) -> RolloutState:
    """Never fails; what it does not know changes nothing."""
    match event.fact:
        case SpecApplied(spec_id=spec_id, runs=runs):
            state = replace(state, applied_spec_id=spec_id, runs=runs)
            is_taken = state.failed_spec_id == spec_id
            return replace(state, failed_spec_id=None, failure=None) if is_taken else state
        case SpecHealthy(spec_id=spec_id):
            return replace(state, healthy_spec_id=spec_id)
        case SpecFailed(spec_id=spec_id, message=message):
            return replace(state, failed_spec_id=spec_id, failure=message)
        case ReplicasRetiring(replica_ids=replica_ids):
            return replace(state, retiring=frozenset(replica_ids))
        case ReplicasMoving(moves=moves):
            return replace(state, moves=moves)
        case RolloutProgressed(spec_id=spec_id, phase=phase, since=since, message=message):
            return replace(state, progress=Progress(spec_id, phase, since or event.time, message))
        case WorkloadRemoved():
            return replace(state, is_removed=True, runs=(), retiring=frozenset(), moves=())
        case _:
            return state
