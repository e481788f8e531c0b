"""What was used, as the API shows it."""

from pydantic import Field

from services.api.edge.schemas.base import Answer
from services.api.readmodels.usage import Usage, Used


class UsedAnswer(Answer):
    """Which of the ids are there depends on `groupBy`. `cost` is null where a part of it has no price."""

    deployment_id: str | None = Field(default=None, exclude_if=lambda it: it is None)
    deployment_name: str | None = Field(default=None, exclude_if=lambda it: it is None)
    project_id: str | None = Field(default=None, exclude_if=lambda it: it is None)
    spec_id: str | None = Field(default=None, exclude_if=lambda it: it is None)
    machine_type: str | None = Field(default=None, exclude_if=lambda it: it is None)
    replica_seconds: float
    cost: float | None

    @staticmethod
    def of(used: Used) -> "UsedAnswer":
        return UsedAnswer(
            deployment_id=used.deployment_id,
            deployment_name=used.deployment_name,
            project_id=used.project_id,
            spec_id=used.spec_id,
            machine_type=used.machine_type,
            replica_seconds=round(used.replica_seconds, 3),
            cost=None if used.cost is None else round(used.cost, 6),
        )


class UsageAnswer(Answer):
    """`to` is now, where a later time was asked for. `unpriced`: machine types without a price then."""

    from_: str = Field(alias="from")
    to: str
    group_by: str
    items: list[UsedAnswer]
    total: UsedAnswer
    unpriced: list[str]

    @staticmethod
    def of(usage: Usage, *, begin: str, end: str, group_by: str) -> "UsageAnswer":
        return UsageAnswer(
            from_=begin,
            to=end,
            group_by=group_by,
            items=[UsedAnswer.of(used) for used in usage.groups],
            total=UsedAnswer.of(usage.total),
            unpriced=list(usage.unpriced),
        )
