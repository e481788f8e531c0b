"""Projects and what happened in them."""

from typing import Any

from libs.common.events.envelope import TEAM
from services.api.records import ActivityRecord, ProjectRecord
from services.api.schemas.base import Answer


class ProjectAnswer(Answer):
    id: str
    name: str
    team_id: str
    dt_created: str
    dt_deleted: str | None

    @classmethod
    def of(cls, project: ProjectRecord) -> "ProjectAnswer":
        return cls(
            id=project.id,
            name=project.name,
            team_id=TEAM,
            dt_created=project.created_at,
            dt_deleted=project.deleted_at,
        )


class ActivityDeployment(Answer):
    """As it is now, not as it was then."""

    id: str
    name: str
    dt_deleted: str | None


class ActivityAnswer(Answer):
    """action: `deployment.` created, updated, deleted, enabled, disabled or scaled (data: `{from, to}`).
    actor: who is answerable. commandSource: of what a command did, the source that its publisher claims."""

    id: str
    action: str
    actor: str
    command_source: str | None
    data: dict[str, Any] | None
    deployment: ActivityDeployment
    dt_created: str

    @classmethod
    def of(cls, activity: ActivityRecord) -> "ActivityAnswer":
        return cls(
            id=str(activity.id),
            action=activity.action,
            actor=activity.actor,
            command_source=activity.command_source,
            data=dict(activity.data) if activity.data is not None else None,
            deployment=ActivityDeployment(
                id=activity.deployment_id,
                name=activity.deployment_name,
                dt_deleted=activity.deployment_deleted_at,
            ),
            dt_created=activity.created_at,
        )
