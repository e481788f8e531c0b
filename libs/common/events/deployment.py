"""Facts of a `deployment`: what people and other systems asked for."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from libs.common.events.fact import Fact, MadeId
from libs.common.spec.model import Spec


class DeploymentFact(Fact):
    aggregate: ClassVar[str] = "deployment"


class DeploymentCreated(DeploymentFact):
    """The deployment exists under its first name; later names are in the specs."""

    name: str


class GitHeaders(BaseModel):
    """Where a spec came from, as the `x-git-*` request headers told."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    actor: str | None = None
    host: str | None = None
    owner: str | None = None
    ref: str | None = None
    repo: str | None = None
    sha: str | None = None


class SpecRegistered(DeploymentFact):
    """`spec` is the desired state from now on.

    run_id: the hash of its template; the same as before means that no replica restarts.
    rolled_back_from: the earlier spec_id whose content this registers again, on a rollback.
    scaling_since: the first spec of the unbroken stretch of specs with autoscaling on, enabled and not 0,
    that this one is in; absent where it is in none.
    """

    spec_id: MadeId
    run_id: MadeId
    spec: Spec
    git: GitHeaders | None = None
    rolled_back_from: MadeId | None = None
    scaling_since: MadeId | None = None


class DeploymentDeleted(DeploymentFact):
    """The deployment wants nothing any more, and its `name` is free. Its history stays."""

    name: str
