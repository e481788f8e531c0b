"""Whether a project exists: the fold of a `project` aggregate. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime

from libs.common.events.envelope import Recorded
from libs.common.events.project import ProjectCreated, ProjectDeleted, ProjectRenamed


@dataclass(frozen=True, slots=True)
class ProjectState:
    name: str | None = None
    created_at: datetime | None = None
    is_deleted: bool = False

    @property
    def exists(self) -> bool:
        return self.name is not None and not self.is_deleted


def evolve(state: ProjectState, event: Recorded) -> ProjectState:
    """Never fails; what it does not know changes nothing."""
    match event.fact:
        case ProjectCreated(name=name):
            return ProjectState(name, event.time)
        case ProjectRenamed(name=name):
            return replace(state, name=name)
        case ProjectDeleted():
            return replace(state, is_deleted=True)
        case _:
            return state
