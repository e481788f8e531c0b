"""What can be an id at all. Only then may it become part of a subject. Pure."""

from libs.common.ids import DEFAULT_PROJECT, is_id
from services.api.commands.deployment import deployment_not_found
from services.api.commands.project import project_not_found


def check_project_id(project_id: str) -> None:
    """Raises NotFound: what cannot be the id of a project is not there."""
    if not (is_id(project_id) or project_id == DEFAULT_PROJECT):
        raise project_not_found(project_id)


def check_deployment_id(deployment_id: str) -> None:
    """Raises NotFound: what cannot be the id of a deployment is not there."""
    if not is_id(deployment_id):
        raise deployment_not_found(deployment_id)
