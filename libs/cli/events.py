"""`specstream events`: the log, read or followed."""

from typing import Annotated

import typer

from libs.cli import show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson
from libs.cli.errors import told


def events(
    deployment: Annotated[str | None, typer.Option("--deployment", "-d", help="Id of a deployment.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Such as SpecRegistered.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only what came after this sequence.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    json: AsJson = False,
) -> None:
    """Show the events, one a line, oldest first."""
    with told(), connect() as client:
        read = client.follow if follow else client.events
        for event in read(deployment_id=deployment, event_type=event_type, after=after):
            if json:
                show.as_json_line(event)
                continue
            reason = event["data"].get("reason") or event["data"].get("phase") or ""
            print(
                f"{event['sequence']:>7}  {show.local_time(event['time'])}  {event['type']:<22}"
                f"  {event['subject'].split('.')[3][:12]:<12}  {event['actor']:<18}  {reason}".rstrip(),
                flush=True,
            )
