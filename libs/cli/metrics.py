"""What deployments did and used."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import typer

from libs.cli import naming, show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson, Project
from libs.cli.deployments import Deployment
from libs.cli.errors import CommandFailed, reported_errors
from libs.client import Client, Json

METRICS = {
    "requests_total": "",
    "requests_per_second": "/s",
    "requests_duration_seconds_1m": "s",
    "requests_duration_seconds_5m": "s",
    "cpu": "%",
    "memory": "%",
    "gpu": "%",
}
"""Each with its unit."""

Metric = Literal[
    "requests_total",
    "requests_per_second",
    "requests_duration_seconds_1m",
    "requests_duration_seconds_5m",
    "cpu",
    "memory",
    "gpu",
]
Timeframe = Literal["hour", "12_hours", "day", "1_week", "2_weeks"]

DURATIONS = {"requests_duration_seconds_1m", "requests_duration_seconds_5m"}
"""They are 0 in a step without a request, which took no time because there was none."""

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40
"""Cells of a picture, for the newest values."""


def metrics(
    deployment: Deployment,
    project: Project = "default",
    metric: Annotated[Metric | None, typer.Option(help="One metric; without it all.")] = None,
    timeframe: Annotated[Timeframe, typer.Option(help="How far back, and in which steps.")] = "hour",
    json: AsJson = False,
) -> None:
    """Show what was measured: requests, durations, CPU, memory and GPUs.

    LAST, AVERAGE and HIGHEST of a duration are of the steps in which there was a request.
    """
    with reported_errors(), connect() as client:
        deployment_id = naming.deployment_id(client, deployment, project=project)
        found = {
            each: client.metrics(deployment_id, each, timeframe=timeframe)
            for each in ([metric] if metric else METRICS)
        }
        if json:
            show.as_json(found)
        if not any(found.values()):
            raise CommandFailed(
                f"no {metric or 'metric'} of {deployment} was measured in this time",
                "  what a replica uses is known half a minute after its start; `get` shows whether one runs",
            )
        if not json:
            show.table(
                ("METRIC", "REPLICA", "LAST", "AVERAGE", "HIGHEST", "OLDEST TO NEWEST"),
                rows(found),
                empty="",
                optional={"REPLICA", "OLDEST TO NEWEST"},
            )


def rows(found: dict[str, list[Json]]) -> Iterator[tuple[Any, ...]]:
    """A line for each series: what it is of, its newest value, their average and highest, and a picture.

    Of durations without any request all three are None.
    """
    for metric, answer in found.items():
        for replica, values in _series(answer):
            unit = METRICS[metric]
            told = [value for value in values if value] if metric in DURATIONS else values
            numbers = (told[-1], sum(told) / len(told), max(told)) if told else ()
            shown: list[str | None] = [f"{number:.4g} {unit}".rstrip() for number in numbers] or [None] * 3
            yield metric, replica, *shown, picture(values)


def _series(answer: list[Json]) -> Iterator[tuple[str | None, list[float]]]:
    """Whatever its shape: of the deployment, of each replica, of each GPU of one."""
    several: dict[str, list[float]] = {}
    for item in answer:
        if "values" in item:
            yield item["instanceId"][:12], [float(point["value"]) for point in item["values"]]
        else:
            of = f"{item['instanceId'][:12]} gpu {item['gpu']}" if "gpu" in item else ""
            several.setdefault(of, []).append(float(item["value"]))
    yield from ((of or None, values) for of, values in several.items())


def picture(values: Sequence[float]) -> str:
    """The newest values as bars, from 0 to the highest."""
    newest = values[-WIDTH:]
    highest = max(newest)
    if highest <= 0:
        return BARS[0] * len(newest)
    return "".join(BARS[round(value / highest * (len(BARS) - 1))] for value in newest)


def newest(client: Client, deployment_id: str, metric: str) -> float | None:
    """The newest value of a metric; of replicas the average of theirs. None where nothing was measured."""
    last = [values[-1] for _, values in _series(client.metrics(deployment_id, metric)) if values]
    return sum(last) / len(last) if last else None
