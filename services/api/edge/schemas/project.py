"""Projects and what happened in them."""

from typing import Any
from uuid import UUID, uuid5

from libs.common.events.envelope import TEAM
from services.api.edge.schemas.base import Answer
from services.api.readmodels.records import ActivityRecord, ProjectRecord

_ACTIVITIES = UUID("6f3f6c7e-53a5-4a36-9a53-3b0a8d3a7f10")
"""The namespace of activities' ids: the same activity has the same id, also after a rebuild."""


class ProjectAnswer(Answer):
    """repo*: of a connected git repository in the reference API; nothing here connects one."""

    id: str
    name: str
    team_id: str
    dt_created: str
    dt_deleted: str | None
    repo_name: None = None
    repo_node_id: None = None
    repo_url: None = None

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


class ActivityActor(Answer):
    """fullName: who is answerable, as events name it. A key has no address and no picture."""

    full_name: str
    email: None = None
    avatar_url: None = None


class ActivityAnswer(Answer):
    """action: `deployment.` created, updated, deleted, enabled, disabled, scaled (data: `{from, to}`),
    autoscaling.enabled or autoscaling.disabled.
    actor: who is answerable. commandSource: of what a command did, the source that its publisher claims."""

    id: str
    action: str
    actor: ActivityActor
    command_source: str | None
    data: dict[str, Any] | None
    deployment: ActivityDeployment
    dt_created: str

    @classmethod
    def of(cls, activity: ActivityRecord) -> "ActivityAnswer":
        return cls(
            id=str(uuid5(_ACTIVITIES, f"{activity.deployment_id} {activity.id}")),
            action=activity.action,
            actor=ActivityActor(full_name=activity.actor),
            command_source=activity.command_source,
            data=dict(activity.data) if activity.data is not None else None,
            deployment=ActivityDeployment(
                id=activity.deployment_id,
                name=activity.deployment_name,
                dt_deleted=activity.deployment_deleted_at,
            ),
            dt_created=activity.created_at,
        )
