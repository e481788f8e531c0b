"""Facts of a `project`: the tenant boundary."""

from typing import ClassVar

from libs.common.events.fact import Fact


class ProjectFact(Fact):
    aggregate: ClassVar[str] = "project"
    writer: ClassVar[str] = "api"


class ProjectCreated(ProjectFact):
    name: str


class ProjectClosed(ProjectFact):
    """It takes no deployment any more, and none was left in it: what its deletion rests on."""

    name: str


class ProjectDeleted(ProjectFact):
    name: str
