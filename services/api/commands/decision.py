"""What a decision is, and the aggregates that the api decides about. Pure."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from libs.common.events.deployment import DeploymentFact
from libs.common.events.envelope import Aggregate, Draft
from libs.common.events.name import NameFact
from libs.common.events.project import ProjectFact
from libs.common.ids import name_key
from libs.common.log.port import Guard

DEFAULT_PROJECT = "default"
"""Id and name of the project that exists before the first event, so that no event makes it and an empty log
is really empty."""

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Decision(Generic[T_co]):
    """drafts: what to append in one batch; none when the present state is the wanted one already.

    guards: what else the decision rests on. answer: what the caller is told.
    """

    answer: T_co
    drafts: tuple[Draft, ...] = ()
    guards: tuple[Guard, ...] = ()


def deployment_aggregate(project_id: str, deployment_id: str) -> Aggregate:
    return Aggregate(project_id, DeploymentFact.aggregate, deployment_id)


def project_aggregate(project_id: str) -> Aggregate:
    return Aggregate(project_id, ProjectFact.aggregate, project_id)


def name_aggregate(parent: str, name: str) -> Aggregate:
    """Guards `name` under `parent`: a project, or `_team` for the names of projects."""
    return Aggregate(parent, NameFact.aggregate, name_key(parent, name))
