"""What people, and the autoscaler, did to a deployment, told in the reference API's words. Pure."""

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
    AUTOSCALING_ENABLED = "deployment.autoscaling.enabled"
    AUTOSCALING_DISABLED = "deployment.autoscaling.disabled"


@dataclass(frozen=True, slots=True)
class Activity:
    action: Action
    data: dict[str, Any] | None = None


def activities(before: Spec | None, after: Spec) -> list[Activity]:
    """What a newly registered spec means, compared with the one before it.

    | what differs          | entries                                   |
    |-----------------------|-------------------------------------------|
    | there was none        | none: `created` says it                   |
    | `enabled`             | enabled, or disabled                      |
    | `resources.replicas`  | scaled, with `{from, to}`                 |
    | whether there is      | autoscaling enabled, or disabled; a block |
    | autoscaling, and on   | that comes or goes with it is not updated |
    | anything else         | updated                                   |
    """
    if before is None:
        return []
    found = []
    if _without_switches(before, after) != _without_switches(after, before):
        found.append(Activity(Action.UPDATED))
    if before.enabled != after.enabled:
        found.append(Activity(Action.ENABLED if after.enabled else Action.DISABLED))
    if _is_autoscaling_on(before) != _is_autoscaling_on(after):
        is_on = _is_autoscaling_on(after)
        found.append(Activity(Action.AUTOSCALING_ENABLED if is_on else Action.AUTOSCALING_DISABLED))
    return [*found, *scaled(before.resources.replicas, after.resources.replicas)]


def scaled(before: int, after: int) -> list[Activity]:
    """Nothing where the number is the same."""
    return [] if before == after else [Activity(Action.SCALED, {"from": before, "to": after})]


def _is_autoscaling_on(spec: Spec) -> bool:
    block = spec.resources.autoscaling
    return block is not None and block.enabled


def _without_switches(spec: Spec, other: Spec) -> Spec:
    """What is left to compare with `other` once what has entries of its own is equal."""
    block, others = spec.resources.autoscaling, other.resources.autoscaling
    if block is not None:
        is_switch = others is None and block.enabled
        block = None if is_switch else block.model_copy(update={"enabled": True})
    resources = spec.resources.model_copy(update={"replicas": 0, "autoscaling": block})
    return spec.model_copy(update={"enabled": True, "resources": resources})
