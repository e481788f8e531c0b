"""Which deployment is meant: people give a name, scripts an id."""

import re

import typer

from libs.cli.errors import NOT_FOUND, USAGE, CommandFailed
from libs.client import ApiError, Client

ID_DIGITS = 32
ID = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")


def given(text: str | None) -> str | None:
    """As an option or an argument was given; an empty one is a variable of a script that was not set.

    Raises BadParameter for that: it must not mean the same as none.
    """
    if text == "":
        raise typer.BadParameter("must not be empty")
    return text


def wanted_id(client: Client, name_or_id: str | None, *, project: str | None) -> str | None:
    """Of the deployment, where one is named. Raises CommandFailed as `deployment_id` does, and for a project
    in which nothing is looked for."""
    if name_or_id is not None:
        return deployment_id(client, name_or_id, project=project or "default")
    if project is not None:
        raise CommandFailed(
            "--project: says where a deployment is that is named, and none is named", status=USAGE
        )
    return None


def deployment_id(client: Client, name_or_id: str, *, project: str) -> str:
    """The id of the deployment of that name in the project, else the id itself, of a deleted one too.

    Raises CommandFailed when there is none, and when one is called what is the id of another.
    """
    named = next(
        (d["id"] for d in client.deployments(project_id=project, name=name_or_id) if d["name"] == name_or_id),
        None,
    )
    if not ID.fullmatch(name_or_id):
        if named is None:
            raise CommandFailed(
                f"there is no deployment {name_or_id!r} in the project {project!r}",
                "  `list` shows those of all projects; a deleted one is named by its id",
                status=NOT_FOUND,
            )
        return str(named)
    if named is None or named == name_or_id:
        return name_or_id
    try:
        other = client.deployment(name_or_id)
    except ApiError as error:
        if error.status != 404:
            raise
        return str(named)
    raise CommandFailed(
        f"{name_or_id} is the name of one deployment and the id of another:",
        f"  say {named} for the one with that name",
        f"  say {other['name']!r} for the one with that id",
        status=USAGE,
    )
