"""The long answer of the health check."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.api.edge.schemas.base import Answer


class SetAsideAnswer(Answer):
    """subject: the id of a deployment or project. attempts: failures in a row, the first one at `since`."""

    subject: str
    reason: str
    since: datetime
    attempts: int


class CopyAnswer(Answer):
    """number: its own among the copies of its service. standing: of a `silent` one nothing is heard."""

    number: int
    pid: int
    standing: Literal["leading", "warm", "silent"]
    is_ready: bool


class ScalingAnswer(Answer):
    """autoscaled: how many deployments scale by load. unknown: of how many of them something is not known,
    so that their number does not fall."""

    autoscaled: int
    unknown: int


class HealthDetail(Answer):
    """notReady: what the platform waits for. problems: why, by service. setAside: what each service works
    without and tries again. notices: what an operator has to know, such as a protection that is missing.
    processes: the pid of each process that was heard; a second copy is called as `reconciler-2`. copies: of
    each service of which one copy leads, its copies; a `warm` one stands by. scaling: absent while the
    autoscaler does not say.
    """

    status: Literal["HEALTHY", "NOT_READY"]
    not_ready: list[str]
    problems: dict[str, str]
    set_aside: dict[str, list[SetAsideAnswer]]
    notices: list[str]
    processes: dict[str, int]
    copies: dict[str, list[CopyAnswer]]
    scaling: ScalingAnswer | None = Field(default=None, exclude_if=lambda scaling: scaling is None)
