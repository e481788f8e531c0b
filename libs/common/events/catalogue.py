"""Every fact there is, by name. Names are strings here, so that moving a class never breaks history."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from libs.common.events import deployment, name, project, replica, rollout, traffic
from libs.common.events.fact import Fact

_FACTS: tuple[type[Fact], ...] = (
    name.NameClaimed,
    name.NameReleased,
    project.ProjectCreated,
    project.ProjectRenamed,
    project.ProjectClosed,
    project.ProjectDeleted,
    deployment.DeploymentCreated,
    deployment.SpecRegistered,
    deployment.DeploymentDeleted,
    rollout.SpecApplied,
    rollout.SpecHealthy,
    rollout.SpecFailed,
    rollout.RolloutProgressed,
    rollout.ReplicasRetiring,
    rollout.WorkloadRemoved,
    replica.ReplicaStarted,
    replica.ReplicaBecameReady,
    replica.ReplicaBecameUnready,
    replica.ReplicaCondemned,
    replica.ReplicaRestarted,
    replica.ReplicaStopped,
    traffic.EndpointsWithdrawn,
)

CATALOGUE: Mapping[str, type[Fact]] = MappingProxyType({fact.event_type(): fact for fact in _FACTS})


def dataschema(fact: type[Fact]) -> str:
    """The CloudEvents `dataschema` of a fact: its name and the version of its payload."""
    return f"urn:specstream:event:{fact.event_type()}:v{fact.version}"


def encode(fact: Fact) -> bytes:
    """The payload as it is stored: JSON; what is unset stays out."""
    return fact.model_dump_json(by_alias=True, exclude_none=True).encode()


def decode(event_type: str, data: bytes) -> tuple[Mapping[str, Any], Fact | None]:
    """The payload as stored, and as this version understands it: None for what it does not know."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return {}, None
    if not isinstance(raw, dict):
        return {}, None
    known = CATALOGUE.get(event_type)
    if known is None:
        return raw, None
    try:
        return raw, known.model_validate(raw)
    except ValidationError:
        return raw, None
