"""Given what the log says of a project, when somebody asks, then these facts."""

import pytest

from libs.common.errors import Conflict, NotFound
from libs.common.events.envelope import Aggregate, Draft
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.events.project import ProjectClosed, ProjectCreated, ProjectDeleted
from libs.common.ids import name_key
from libs.common.log.port import Guard
from libs.common.state.project import ProjectState
from services.api.commands.decision import Decision
from services.api.commands.project import (
    CreateProject,
    DeleteProject,
    DeleteProjectState,
    decide_create,
    decide_delete,
)

GUARD = Guard("events.p.deployment.>", 3)
NAME = Aggregate("_team", "name", name_key("_team", "team"))
PROJECT = Aggregate("p", "project", "p")


def test_a_free_name_makes_a_project():
    claimed = Draft(NAME, NameClaimed(parent="_team", name="team", owner_id="p"))
    created = Draft(PROJECT, ProjectCreated(name="team"))
    assert decide_create(None, CreateProject("team", "p")) == Decision("p", (claimed, created))


@pytest.mark.parametrize(
    ("owner", "name"),
    [pytest.param("q", "team", id="held"), pytest.param(None, "default", id="the default one's")],
)
def test_a_taken_name_is_refused(owner, name):
    with pytest.raises(Conflict):
        decide_create(owner, CreateProject(name, "p"))


def test_an_empty_project_is_deleted_with_a_guard_on_its_deployments():
    closed, deleted = Draft(PROJECT, ProjectClosed(name="team")), Draft(PROJECT, ProjectDeleted(name="team"))
    released = Draft(NAME, NameReleased(parent="_team", name="team", owner_id="p"))
    decision = decide_delete(DeleteProjectState(ProjectState("team"), 0, GUARD), DeleteProject("p"))
    assert decision == Decision("p", (closed, deleted, released), (GUARD,))


@pytest.mark.parametrize(
    ("state", "project_id", "error"),
    [
        pytest.param(DeleteProjectState(ProjectState(), 0, GUARD), "p", NotFound, id="unknown"),
        pytest.param(
            DeleteProjectState(ProjectState("team", None, True), 0, GUARD), "p", NotFound, id="deleted before"
        ),
        pytest.param(DeleteProjectState(ProjectState("team"), 1, GUARD), "p", Conflict, id="not empty"),
        pytest.param(DeleteProjectState(ProjectState(), 0, GUARD), "default", Conflict, id="the default one"),
    ],
)
def test_a_deletion_is_refused(state, project_id, error):
    with pytest.raises(error):
        decide_delete(state, DeleteProject(project_id))
