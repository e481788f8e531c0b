"""What can be an id at all. Only then may it become part of a subject. Pure."""

import re

from services.api.commands.decision import DEFAULT_PROJECT
from services.api.commands.deployment import deployment_not_found
from services.api.commands.project import project_not_found

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)

AN_ID = "32 hexadecimal digits in lower case"


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def check_project_id(project_id: str) -> None:
    """Raises NotFound: what cannot be the id of a project is not there."""
    if not (is_id(project_id) or project_id == DEFAULT_PROJECT):
        raise project_not_found(project_id)


def check_deployment_id(deployment_id: str) -> None:
    """Raises NotFound: what cannot be the id of a deployment is not there."""
    if not is_id(deployment_id):
        raise deployment_not_found(deployment_id)
