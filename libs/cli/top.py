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
from libs.client import ApiError, Client

COLUMNS = ("NAME", "STATUS", "READY", "CPU", "MEMORY", "REQUESTS", "DURATION", "ID")


def top(
    limit: Annotated[int, typer.Option(min=1, max=120, help="How many, the newest first.")] = 20,
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between two looks.")] = 5.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look once; so it is where there is no terminal.")
    ] = False,
) -> None:
    """Watch what all deployments did in the last minute: replicas, CPU, memory, requests, durations."""
    with reported_errors(), connect() as client:
        if once or not show.console.is_terminal:
            show.table(COLUMNS, _rows(client, limit), empty="no deployments")
            return
        with Live(console=show.console, auto_refresh=False, screen=True) as live:
            while True:
                live.update(Group(*_lines(list(_rows(client, limit)))), refresh=True)
                time.sleep(every)


def _lines(rows: list[tuple[Any, ...]]) -> list[Text]:
    """As many as the screen has."""
    if not rows:
        return [Text("no deployments", "dim")]
    filled = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    lines = show.layout(filled, optional={"ID", "DURATION"}, width=show.console.width)
    return lines[: max(1, show.console.height - 1)]


def _rows(client: Client, limit: int) -> Iterator[tuple[Any, ...]]:
    for deployment in islice(client.deployments(), limit):
        try:
            yield _row(client, deployment)
        except ApiError as error:
            if error.status != 404:  # it was deleted meanwhile
                raise


def _row(client: Client, deployment: dict[str, Any]) -> tuple[Any, ...]:
    deployment_id = deployment["id"]
    runs = client.runs(deployment_id)
    ready = sum(run["readyReplicas"] for run in runs)
    wanted = sum(run["replicas"] for run in runs)
    measured = {
        metric: newest(client, deployment_id, metric)
        for metric in ("cpu", "memory", "requests_per_second", "requests_duration_seconds_1m")
    }
    return (
        deployment["name"],
        show.status(deployment),
        f"{ready}/{wanted}",
        _of(measured["cpu"], "{:.0f} %"),
        _of(measured["memory"], "{:.0f} %"),
        _of(measured["requests_per_second"], "{:.3g}/s"),
        _of(measured["requests_duration_seconds_1m"], "{:.3g} s"),
        deployment_id,
    )


def _of(value: float | None, form: str) -> str | None:
    return None if value is None else form.format(value)
