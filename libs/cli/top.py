"""All deployments, live."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from libs.cli import show
from libs.cli.connection import connect
from libs.cli.errors import reported_errors
from libs.cli.metrics import newest
from libs.client import ApiError, Client, Json

COLUMNS = ("NAME", "STATUS", "READY", "MOST", "CPU", "MEMORY", "REQUESTS", "DURATION", "ID")
METRICS = ("cpu", "memory", "requests_per_second", "requests_duration_seconds_1m")

MOST = 10_000
"""Each takes five requests, so a look at so many takes minutes."""


def top(
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many, the newest first.")] = 20,
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between two looks.")] = 5.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look once; so it is where there is no terminal.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Look once, JSON on stdout, for scripts.")] = False,
) -> None:
    """Watch what all deployments did in the last minute: replicas, CPU, memory, requests, durations.

    READY is how many of the newest version are ready, and how many are wanted. MOST is the number that load
    raises it to at most. A screen shows as many as it has lines.
    """
    with reported_errors(), connect() as client:
        if json:
            show.as_json(list(look(client, limit)))
            return
        if once or not show.console.is_terminal:
            show.table(COLUMNS, map(_row, look(client, limit)), empty="no deployments", optional={"MOST"})
            return
        with Live(console=show.console, auto_refresh=False, screen=True) as live:
            while True:
                lines = max(1, show.console.height - 1)
                found = list(look(client, min(limit, lines)))
                live.update(Group(*_lines(found)[:lines]), refresh=True)
                time.sleep(every)


def _lines(found: list[Json]) -> list[Text]:
    if not found:
        return [Text("no deployments", "dim")]
    filled = [dict(zip(COLUMNS, _row(one), strict=True)) for one in found]
    return show.layout(filled, optional={"ID", "DURATION", "MOST"}, width=show.console.width)


def look(client: Client, limit: int) -> Iterator[Json]:
    """What each of so many deployments has, wants and may have, and what was measured of it last.

    What it has is counted as what it wants is: of the newest version, while one before may serve.
    """
    for deployment in islice(client.deployments(), limit):
        try:
            yield _seen(client, deployment)
        except ApiError as error:
            if error.status != 404:  # it was deleted meanwhile
                raise


def _seen(client: Client, deployment: Json) -> Json:
    latest = deployment.get("latestSpec") or {}
    spec = latest.get("data") or {}
    wanted = next((run for run in client.runs(deployment["id"]) if run["id"] == latest.get("runId")), {})
    autoscaling = spec.get("resources", {}).get("autoscaling") or {}
    return {
        "id": deployment["id"],
        "name": deployment["name"],
        "status": deployment.get("status"),
        "projectId": deployment["projectId"],
        "readyReplicas": wanted.get("readyReplicas", 0),
        "replicas": wanted.get("replicas", 0),
        "maxReplicas": autoscaling.get("maxReplicas") if autoscaling.get("enabled", True) else None,
        "metrics": {metric: newest(client, deployment["id"], metric) for metric in METRICS},
    }


def _row(seen: Json) -> tuple[Any, ...]:
    cpu, memory, requests, duration = (seen["metrics"][metric] for metric in METRICS)
    return (
        seen["name"],
        show.status(seen),
        f"{seen['readyReplicas']}/{seen['replicas']}",
        seen["maxReplicas"],
        _of(cpu, "{:.0f} %"),
        _of(memory, "{:.0f} %"),
        _of(requests, "{:.3g}/s"),
        _of(duration, "{:.3g} s"),
        seen["id"],
    )


def _of(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)
