"""`specstream projects`: the folders that deployments are kept in."""

from datetime import datetime
from typing import Annotated

import typer

from libs.cli import naming, show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson
from libs.cli.errors import reported_errors
from libs.client import Json
from libs.common.clock import utc_now

app = typer.Typer(no_args_is_help=True, help="List, make, rename and delete projects.")

ProjectId = Annotated[
    str, typer.Argument(metavar="PROJECT", callback=naming.given, help="Id of the project.")
]
Name = Annotated[str, typer.Argument(help="No other project has it.")]


@app.command(name="list")
def list_(json: AsJson = False) -> None:
    """List projects, newest first; `default` is always there."""
    with reported_errors(), connect() as client:
        found = list(client.projects())
        if json:
            show.as_json(found)
            return
        now = utc_now()
        show.table(
            ("ID", "NAME", "AGE"),
            ((p["id"], p["name"], _age(p, now=now)) for p in found),
            empty="no projects",
        )


@app.command()
def create(name: Name, json: AsJson = False) -> None:
    """Make a project; its id is what `--project` takes."""
    with reported_errors(), connect() as client:
        _told(client.create_project(name), "created", json=json)


@app.command()
def rename(project: ProjectId, name: Name, json: AsJson = False) -> None:
    """Give a project another name; its id and its deployments stay."""
    with reported_errors(), connect() as client:
        _told(client.rename_project(project, name), "renamed", json=json)


@app.command()
def delete(project: ProjectId, json: AsJson = False) -> None:
    """Delete a project that has no deployments."""
    with reported_errors(), connect() as client:
        _told(client.delete_project(project), "deleted", json=json)


@app.command()
def activity(project: ProjectId, json: AsJson = False) -> None:
    """Show what was done to the deployments of a project, newest first; to deleted ones too."""
    with reported_errors(), connect() as client:
        found = list(client.activity(project))
        if json:
            show.as_json(found)
            return
        now = utc_now()
        show.table(
            ("AGE", "WHAT", "NAME", "DEPLOYMENT", "WHO"),
            (
                (
                    show.age(a["dtCreated"], now=now),
                    a["action"],
                    a["deployment"]["name"],
                    a["deployment"]["id"],
                    a["actor"]["fullName"],
                )
                for a in found
            ),
            empty="nothing was done yet",
        )


def _age(project: Json, *, now: datetime) -> str | None:
    """None of the one that nobody made: it is always there, and says that it began with 1970."""
    made = datetime.fromisoformat(project["dtCreated"])
    return show.age(project["dtCreated"], now=now) if made.timestamp() > 0 else None


def _told(project: Json, outcome: str, *, json: bool) -> None:
    if json:
        show.as_json(project)
    else:
        print(f"{outcome} {project['id']} ({show.harmless(project['name'])})")
