"""Why a deployment has as many replicas as it has, and what was decided about it."""

import sys
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from libs.cli import naming, show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson, Project
from libs.cli.deployments import Deployment
from libs.cli.errors import reported_errors
from libs.cli.instants import instant
from libs.client import Json

LIMIT = 50


def explain(
    deployment: Deployment,
    project: Project = "default",
    at: Annotated[
        str | None, typer.Option(help="A time (RFC 3339; local without an offset) or an event sequence.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show why it has as many replicas as it has, or had; of a deleted one by its id."""
    with reported_errors(), connect() as client:
        deployment_id = naming.deployment_id(client, deployment, project=project)
        found = client.explain(deployment_id, at=instant(at))
        if json:
            show.as_json(found)
            return
        show_explained(found)


def decisions(
    deployment: Deployment,
    project: Project = "default",
    kind: Annotated[
        str | None, typer.Option(help="Only scaling, rollout, verdict or spec.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = LIMIT,
    json: AsJson = False,
) -> None:
    """Show what was decided about it, newest first; of a deleted one by its id."""
    with reported_errors(), connect() as client:
        deployment_id = naming.deployment_id(client, deployment, project=project)
        found = list(islice(client.decisions(deployment_id, kind=kind), min(limit, sys.maxsize)))
        if json:
            show.as_json(found)
            return
        show_decisions(found, empty="no decisions")


def show_explained(found: Json) -> None:
    show.fields(_lines(found))
    show.console.print()
    show_decisions(found["decisions"], empty="nothing was decided by load")


def _lines(found: Json) -> list[tuple[str, Any]]:
    bounds, reasoning = found["bounds"], found["reasoning"]
    lines = [
        ("id", found["id"]),
        ("name", found["name"]),
        ("replicas", f"{found['replicas']}: {found['why']}"),
        ("ready", found["ready"]),
    ]
    if bounds is not None:
        lines.append(("bounds", f"{bounds['minimum']} to {bounds['maximum']}"))
    for one in found["waiting"]:
        message = f": {one['message']}" if one["message"] else ""
        lines.append(("waiting", f"{one['replicas']} {one['state']}{message}"))
    if reasoning is not None:
        decision = reasoning["decision"]
        lines += [
            ("now" if decision is None else f"by decision #{decision}", reasoning["sentence"]),
            ("as of", show.local_time(reasoning["at"])),
        ]
        if reasoning["heldUntil"] is not None:
            lines.append(("held until", show.local_time(reasoning["heldUntil"])))
        for one in reasoning["unknown"]:
            since = f" since {show.local_time(one['since'])}" if one["since"] else ""
            lines.append(("unknown", f"{one['metric']}{since}: {one['reason'].replace('_', ' ')}"))
    return lines


def show_decisions(found: list[Json], *, empty: str) -> None:
    """A line for when and by whom, and one for the decision, which is too long for a cell."""
    if not found:
        show.say(Text(empty, "dim"))
    for one in found:
        place = f"{show.local_time(one['dtCreated'])}  {one['kind']}  {one['actor']}  #{one['sequence']}"
        show.say(Text(place, "bold"))
        show.say(Text(f"  {show.harmless(one['sentence'])}"))
