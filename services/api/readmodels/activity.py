"""What people did to a deployment, told in the reference API's words. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from libs.common.spec.model import Spec


class Action(StrEnum):
    CREATED = "deployment.created"
    UPDATED = "deployment.updated"
    DELETED = "deployment.deleted"
    ENABLED = "deployment.enabled"
    DISABLED = "deployment.disabled"
    SCALED = "deployment.scaled"


@dataclass(frozen=True, slots=True)
class Activity:
    action: Action
    data: dict[str, Any] | None = None


def activities(before: Spec | None, after: Spec) -> list[Activity]:
    """What a newly registered spec means, compared with the one before it.

    | what differs          | entries                    |
    |-----------------------|----------------------------|
    | there was none        | none: `created` says it    |
    | `enabled`             | enabled, or disabled       |
    | `resources.replicas`  | scaled, with `{from, to}`  |
    | anything else         | updated                    |
    """
    if before is None:
        return []
    found = []
    if _without_switches(before) != _without_switches(after):
        found.append(Activity(Action.UPDATED))
    if before.enabled != after.enabled:
        found.append(Activity(Action.ENABLED if after.enabled else Action.DISABLED))
    if before.resources.replicas != after.resources.replicas:
        scale = {"from": before.resources.replicas, "to": after.resources.replicas}
        found.append(Activity(Action.SCALED, scale))
    return found


def _without_switches(spec: Spec) -> Spec:
    resources = spec.resources.model_copy(update={"replicas": 0})
    return spec.model_copy(update={"enabled": True, "resources": resources})
