"""`specstream events`: the log, read or followed."""

from datetime import datetime
from typing import Annotated

import typer

from libs.cli import naming, show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson, ProjectOfDeployment
from libs.cli.errors import reported_errors
from libs.client import Json


def events(
    deployment: Annotated[
        str | None,
        typer.Option(
            "--deployment", "-d", callback=naming.given, help="Of this deployment only: its name or id."
        ),
    ] = None,
    project: ProjectOfDeployment = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Such as SpecRegistered.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only what came after this sequence.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    json: AsJson = False,
) -> None:
    """Show the events, one a line, oldest first.

    Each line: its sequence, when, what, of which deployment or name, by whom, of which replica, why.
    """
    with reported_errors(), connect() as client:
        read = client.follow if follow else client.events
        deployment_id = naming.wanted_id(client, deployment, project=project)
        for event in read(deployment_id=deployment_id, event_type=event_type, after=after):
            if json:
                show.as_json_line(event)
            else:
                print(line(event), flush=True)


def line(event: Json) -> str:
    """One event: local time without the year, ids and actors shortened."""
    time = datetime.fromisoformat(event["time"]).astimezone().strftime("%m-%d %H:%M:%S")
    aggregate_id = event["subject"].split(".")[3][:8]
    actor = event["actor"].removeprefix("service:")
    rest = " ".join(part for part in (_replicas(event["data"]), _reason(event["data"])) if part)
    return f"{event['sequence']:>5} {time} {event['type']:<20} {aggregate_id:<8} {actor:<11} {rest}".rstrip()


def _replicas(data: Json) -> str:
    """The replica that it is about, as the other commands show it; of several how many."""
    named = data.get("replica_ids") or ([data["replica_id"]] if data.get("replica_id") else [])
    if len(named) > 1:
        return f"{len(named)} replicas"
    return str(named[0])[:12] if named else ""


def _reason(data: Json) -> str:
    """Why, or what it has come to."""
    if "page" in data:
        return f"page {data['page']}"
    return str(data.get("reason") or data.get("phase") or (data.get("replica") or {}).get("state") or "")
