"""Decisions about projects: create, delete. Pure."""

from dataclasses import dataclass

from libs.common.errors import Conflict, Issue, NotFound
from libs.common.events.envelope import TEAM, Draft
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.events.project import ProjectClosed, ProjectCreated, ProjectDeleted, ProjectRenamed
from libs.common.ids import DEFAULT_PROJECT
from libs.common.log.port import Guard
from libs.common.state.project import ProjectState
from services.api.commands.decision import (
    Decision,
    name_aggregate,
    project_aggregate,
)
from services.api.commands.deployment import name_taken


@dataclass(frozen=True, slots=True)
class CreateProject:
    name: str
    new_project_id: str


def decide_create(name_owner: str | None, command: CreateProject) -> Decision[str]:
    """Raises Conflict when the name is held; the default project holds its own for ever."""
    if name_owner is not None or command.name == DEFAULT_PROJECT:
        raise name_taken(("name",), command.name)
    project_id = command.new_project_id
    return Decision(
        project_id,
        (
            Draft(
                name_aggregate(TEAM, command.name),
                NameClaimed(parent=TEAM, name=command.name, owner_id=project_id),
            ),
            Draft(project_aggregate(project_id), ProjectCreated(name=command.name)),
        ),
    )


@dataclass(frozen=True, slots=True)
class RenameProject:
    project_id: str
    name: str


@dataclass(frozen=True, slots=True)
class RenameProjectState:
    project: ProjectState
    name_owner: str | None
    """Who holds the name that is asked for."""


def decide_rename(state: RenameProjectState, command: RenameProject) -> Decision[str]:
    """Raises NotFound for a project that is not there, Conflict for the default one or a name that is held.

    The name that it has already changes nothing.
    """
    if command.project_id == DEFAULT_PROJECT:
        raise Conflict("The default project cannot be renamed")
    before = state.project.name
    if before is None or not state.project.exists:
        raise project_not_found(command.project_id)
    if before == command.name:
        return Decision(command.project_id)
    if state.name_owner is not None or command.name == DEFAULT_PROJECT:
        raise name_taken(("name",), command.name)
    project_id = command.project_id
    return Decision(
        project_id,
        (
            Draft(name_aggregate(TEAM, before), NameReleased(parent=TEAM, name=before, owner_id=project_id)),
            Draft(
                name_aggregate(TEAM, command.name),
                NameClaimed(parent=TEAM, name=command.name, owner_id=project_id),
            ),
            Draft(project_aggregate(project_id), ProjectRenamed(name=command.name)),
        ),
    )


@dataclass(frozen=True, slots=True)
class DeleteProject:
    project_id: str


@dataclass(frozen=True, slots=True)
class DeleteProjectState:
    project: ProjectState
    deployments: int
    """How many deployments exist in the project."""
    deployments_guard: Guard
    """Holds as long as none was made since they were counted."""


def decide_delete(state: DeleteProjectState, command: DeleteProject) -> Decision[str]:
    """Raises NotFound for one that is not there, Conflict while it has deployments or is the default one."""
    if command.project_id == DEFAULT_PROJECT:
        raise Conflict("The default project cannot be deleted")
    name = state.project.name
    if name is None or not state.project.exists:
        raise project_not_found(command.project_id)
    if state.deployments:
        held = "1 deployment" if state.deployments == 1 else f"{state.deployments} deployments"
        raise Conflict(f"The project has {held}: delete what it has first")
    project = project_aggregate(command.project_id)
    return Decision(
        command.project_id,
        (
            # Two facts of one aggregate, because a guard on others needs a place: the second carries it.
            Draft(project, ProjectClosed(name=name)),
            Draft(project, ProjectDeleted(name=name)),
            Draft(
                name_aggregate(TEAM, name),
                NameReleased(parent=TEAM, name=name, owner_id=command.project_id),
            ),
        ),
        (state.deployments_guard,),
    )


def project_not_found(project_id: str) -> NotFound:
    return NotFound("There is no such project", [Issue(("projectId",), "no such project", project_id)])
