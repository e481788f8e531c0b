"""Facts of a `project`: the tenant boundary."""

from typing import ClassVar

from libs.common.events.fact import Fact


class ProjectFact(Fact):
    aggregate: ClassVar[str] = "project"


class ProjectCreated(ProjectFact):
    """The project exists. `default` needs no such fact."""

    name: str


class ProjectRenamed(ProjectFact):
    """The project has another name; its id and its deployments stay."""

    name: str


class ProjectClosed(ProjectFact):
    """It takes no deployment any more, and none was left in it: what its deletion rests on."""

    name: str


class ProjectDeleted(ProjectFact):
    """The project is gone; it had no deployment."""

    name: str
