"""What was decided about a deployment, a line for each decision: by people, load, rollouts and checks.

A line has what its event says but for what is long: a spec, a replica, lists of replicas. The event itself
is in the log, under the same sequence. Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from libs.common.autoscaling.sentence import sentence_of
from libs.common.events.deployment import DeploymentFact
from libs.common.events.envelope import Recorded
from libs.common.events.fact import Fact
from libs.common.events.replica import (
    Replica,
    ReplicaBecameReady,
    ReplicaBecameUnready,
    ReplicaCondemned,
    ReplicaRestarted,
    ReplicaStarted,
    ReplicaState,
    ReplicaStopped,
)
from libs.common.events.rollout import ReplicasMoving, ReplicasRetiring, RolloutFact
from libs.common.events.scaling import ReplicasDecided, ScalingFact


class DecisionKind(StrEnum):
    SCALING = "scaling"
    """How many replicas, by the autoscaler."""
    ROLLOUT = "rollout"
    """What becomes of a spec and which replicas leave, by the reconciler."""
    VERDICT = "verdict"
    """What becomes of a replica: its start, what the checks say of it, its end; by health."""
    SPEC = "spec"
    """What is asked for, by whoever asked."""


_KINDS: tuple[tuple[tuple[type[Fact], ...], DecisionKind], ...] = (
    ((ScalingFact,), DecisionKind.SCALING),
    ((RolloutFact,), DecisionKind.ROLLOUT),
    (
        (
            ReplicaStarted,
            ReplicaBecameReady,
            ReplicaBecameUnready,
            ReplicaCondemned,
            ReplicaRestarted,
            ReplicaStopped,
        ),
        DecisionKind.VERDICT,
    ),
    ((DeploymentFact,), DecisionKind.SPEC),
)


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """sequence: of its event. actor: who is answerable. data: what the event says, in short."""

    sequence: int
    deployment_id: str
    kind: DecisionKind
    type: str
    actor: str
    data: Mapping[str, Any]
    created_at: str

    @property
    def sentence(self) -> str:
        """For people."""
        return sentence(self.type, self.data)


_LONG = frozenset({"spec", "replica", "roster", "runs", "replica_ids", "moves", "git"})


def kind_of(fact: Fact | None) -> DecisionKind | None:
    """None for what is no decision, such as an observation."""
    return next((kind for facts, kind in _KINDS if isinstance(fact, facts)), None)


def short(event: Recorded) -> dict[str, Any]:
    """What the event says but for what is long, of which there is the number."""
    data = {name: value for name, value in event.data.items() if name not in _LONG}
    match event.fact:
        case ReplicaStarted(replica=Replica(state=state)):
            data["state"] = state
        case ReplicasRetiring(replica_ids=replica_ids):
            data["count"] = len(replica_ids)
        case ReplicasMoving(moves=moves):
            data |= {"count": len(moves), "reasons": sorted({move.reason for move in moves})}
    return data


def sentence(event_type: str, data: Mapping[str, Any]) -> str:
    """Never fails: of what it does not understand it says the type."""
    try:
        if event_type == ReplicasDecided.event_type():
            return _of_scaling(data)
        said = _SENTENCES.get(event_type)
        return _words(event_type) if said is None else said(data)
    except KeyError:
        return event_type


def _of_scaling(data: Mapping[str, Any]) -> str:
    try:
        return sentence_of(ReplicasDecided.model_validate(data))
    except (ValidationError, ValueError, ArithmeticError):
        return f"{data['from_replicas']} → {data['to_replicas']}"


def _of_spec(data: Mapping[str, Any]) -> str:
    earlier = data.get("rolled_back_from")
    return f"spec {data['spec_id']} registered" + (f", as {earlier} was" if earlier else "")


def _of_progress(data: Mapping[str, Any]) -> str:
    leaving = f", {data['leaving_replicas']} to leave" if data["leaving_replicas"] else ""
    why = f"; {data['message']}" if data.get("message") else ""
    return f"{_words(data['phase'])}: {data['ready_replicas']} of {data['replicas']} ready{leaving}{why}"


def _of_start(data: Mapping[str, Any]) -> str:
    """It is told when it is asked for, and again when it has a process; an earlier version told no state."""
    state = data.get("state", ReplicaState.STARTING)
    return f"replica {data['replica_id']} is {'started' if state == ReplicaState.STARTING else state}"


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "DeploymentCreated": lambda data: f"created as {data['name']}",
    "SpecRegistered": _of_spec,
    "DeploymentDeleted": lambda _: "deleted",
    "SpecApplied": lambda data: f"spec {data['spec_id']} is applied",
    "SpecHealthy": lambda data: f"spec {data['spec_id']} is healthy with {data['replicas']} ready",
    "SpecFailed": lambda data: f"spec {data['spec_id']} has failed: {data['message']}",
    "RolloutProgressed": _of_progress,
    "ReplicasRetiring": lambda data: f"{_replicas(data['count'])} to leave: {_words(data['reason'])}",
    "ReplicasMoving": lambda data: (
        f"{_replicas(data['count'])} to be replaced elsewhere: {', '.join(map(_words, data['reasons']))}"
    ),
    "WorkloadRemoved": lambda _: "nothing is left on the cluster",
    "ReplicaStarted": _of_start,
    "ReplicaBecameReady": lambda data: f"replica {data['replica_id']} is ready: {_words(data['reason'])}",
    "ReplicaBecameUnready": lambda data: f"replica {data['replica_id']} is not ready: {data['message']}",
    "ReplicaCondemned": lambda data: (
        f"replica {data['replica_id']} is condemned by its {data['probe']} check: {data['message']}"
    ),
    "ReplicaRestarted": lambda data: f"replica {data['replica_id']} is restarted: {data['message']}",
    "ReplicaStopped": lambda data: f"replica {data['replica_id']} has ended: {data['message']}",
}


def _replicas(count: int) -> str:
    return "1 replica is" if count == 1 else f"{count} replicas are"


def _words(name: str) -> str:
    return name.replace("_", " ")
