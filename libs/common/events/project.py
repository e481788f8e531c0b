"""Facts of a `project`: the tenant boundary."""

from typing import ClassVar

from libs.common.events.fact import Fact


class ProjectFact(Fact):
    aggregate: ClassVar[str] = "project"
    writer: ClassVar[str] = "api"


class ProjectCreated(ProjectFact):
    name: str


class ProjectDeleted(ProjectFact):
    name: str
