"""What deployments cost."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from libs.cli import naming, show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson, ProjectOfDeployment
from libs.cli.errors import reported_errors
from libs.cli.instants import since
from libs.client import Json
from libs.common.clock import utc_now

By = Literal["deployment", "spec", "project", "machine-type"]


def cost(
    deployment: Annotated[
        str | None,
        typer.Argument(callback=naming.given, help="Name or id of a deployment; without it all of them."),
    ] = None,
    project: ProjectOfDeployment = None,
    since_: Annotated[
        str, typer.Option("--since", help="Such as 12h or 7d, at most 31d, or a time.")
    ] = "24h",
    by: Annotated[By, typer.Option(help="What each line is of.")] = "deployment",
    json: AsJson = False,
) -> None:
    """Show for how long replicas were there, and what that costs."""
    with reported_errors(), connect() as client:
        found = client.usage(
            begin=since(since_, now=utc_now()),
            group_by="machineType" if by == "machine-type" else by,
            deployment_id=naming.wanted_id(client, deployment, project=project),
        )
        if json:
            show.as_json(found)
        else:
            show_cost(found)


def show_cost(found: Json) -> None:
    show.table(
        ("NAME", "DEPLOYMENT", "SPEC", "PROJECT", "MACHINE TYPE", "REPLICA HOURS", "COST"),
        _rows(found),
        empty="no replica was there in this time",
        optional={"NAME", "DEPLOYMENT", "SPEC", "PROJECT", "MACHINE TYPE"},
    )
    say_unpriced(found["unpriced"])


def say_unpriced(machine_types: Sequence[str]) -> None:
    """Why a cost is unknown, and what gives one; nothing where all have a price."""
    if machine_types:
        verb = "has" if len(machine_types) == 1 else "have"
        show.say(
            Text(
                f"cost unknown: {', '.join(machine_types)} {verb} no pricePerHour in that time; "
                "a file named by SPECSTREAM_MACHINE_TYPES gives one",
                "yellow",
            )
        )


def _rows(found: Json) -> Iterator[tuple[Any, ...]]:
    names = ("deploymentName", "deploymentId", "specId", "projectId", "machineType")
    total = [("total", *[None] * 4, found["total"])] if len(found["items"]) > 1 else []
    lines = [(*(item.get(name) for name in names), item) for item in found["items"]]
    for *shown, item in (*lines, *total):
        hours = timedelta(seconds=item["replicaSeconds"]) / timedelta(hours=1)
        price = "unknown" if item["cost"] is None else f"{item['cost']:.4f}"
        yield *shown, f"{hours:.3f}", price
