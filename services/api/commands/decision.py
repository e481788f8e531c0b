"""What a decision is, and the aggregates that the api decides about. Pure."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from libs.common.events.deployment import DeploymentFact
from libs.common.events.envelope import Aggregate, Draft
from libs.common.events.name import NameFact
from libs.common.events.project import ProjectFact
from libs.common.ids import name_key
from libs.common.log.port import Guard

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Decision(Generic[T_co]):
    """What a command leads to: a value, equal to any other that says the same."""

    answer: T_co
    """What the caller is told."""
    drafts: tuple[Draft, ...] = ()
    """What to append in one batch; none when the present state is the wanted one already."""
    guards: tuple[Guard, ...] = ()
    """What else the decision rests on."""


def deployment_aggregate(project_id: str, deployment_id: str) -> Aggregate:
    return Aggregate(project_id, DeploymentFact.aggregate, deployment_id)


def project_aggregate(project_id: str) -> Aggregate:
    return Aggregate(project_id, ProjectFact.aggregate, project_id)


def name_aggregate(parent: str, name: str) -> Aggregate:
    """Guards `name` under `parent`: a project, or `_team` for the names of projects."""
    return Aggregate(parent, NameFact.aggregate, name_key(parent, name))
