"""Trying a policy on recorded load, and what it would have come to as a table and a picture."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from libs.cli import naming, show, specfile
from libs.cli.connection import connect
from libs.cli.cost import say_unpriced
from libs.cli.deploy import AsJson, Project
from libs.cli.deployments import Deployment
from libs.cli.errors import NOT_FOUND, VALIDATION, CommandFailed, reported_errors
from libs.cli.instants import since as since_
from libs.client import Json
from libs.common.clock import utc_now

WIDTH = 60
_LEVELS = " ▁▂▃▄▅▆▇█"


def whatif(
    deployment: Deployment,
    policy: Annotated[Path, typer.Option(help="File with an `autoscaling` block, or a spec that has one.")],
    since: Annotated[str, typer.Option(help="From when: `7d`, `12h`, `30m`, or a time.")] = "1d",
    until: Annotated[str | None, typer.Option(help="Up to when, likewise; now without it.")] = None,
    project: Project = "default",
    json: AsJson = False,
) -> None:
    """Show what another policy would have done on the load that was recorded."""
    with reported_errors(), connect() as client:
        block = block_of(specfile.load(policy), policy)
        now = utc_now()
        deployment_id = naming.deployment_id(client, deployment, project=project)
        found = client.what_if(
            deployment_id,
            block,
            since=since_(since, now=now),
            until=None if until is None else since_(until, now=now, option="--until"),
        )
        if json:
            show.as_json(found)
        if found["recordedFrom"] is None:
            raise CommandFailed("nothing is recorded of it in that time", status=NOT_FOUND)
        if not json:
            show_trial(found)


def block_of(content: Json, path: Path) -> Json:
    """The block itself, or where a spec has it."""
    found: Any = content
    if "resources" in content:
        found = content["resources"].get("autoscaling") if isinstance(content["resources"], dict) else None
    elif "autoscaling" in content:
        found = content["autoscaling"]
    if not isinstance(found, dict):
        raise CommandFailed(f"{specfile.named(path)} has no `autoscaling` block", status=VALIDATION)
    return found


def show_trial(found: Json) -> None:
    actual, proposed = found["actual"], found["proposed"]
    rows = (
        ("replica-hours", "replicaHours"),
        ("cost", "cost"),
        ("changes", "changes"),
        ("most replicas", "peak"),
        ("minutes above target", "minutesAboveTarget"),
    )
    show.table(
        ("", "ACTUAL", "PROPOSED"),
        ((name, _rounded(actual[key]), _rounded(proposed[key])) for name, key in rows),
        empty="",
    )
    say_unpriced(found["unpriced"])
    show.console.print()
    begin, end = found["recordedFrom"], found["to"]
    highest = max(actual["peak"], proposed["peak"], 1)
    for side in ("actual", "proposed"):
        show.say(Text(f"{side:<10}{picture(found['series'], side, begin, end, highest)}"))
    show.say(Text(f"{'':<10}{show.local_time(begin)} to {show.local_time(end)}, 0 to {highest}", "dim"))
    show.say(Text(f"looked at every {found['resolutionSeconds']:.0f} s", "dim"))
    for assumption in found["assumptions"]:
        show.say(Text(f"assumed: {assumption}", "dim"))


def picture(series: Sequence[Json], side: str, begin: str, end: str, highest: int) -> str:
    """A bar for each stretch of time, as high as its highest number."""
    first, last = (datetime.fromisoformat(text).timestamp() for text in (begin, end))
    step = max(60.0, (last - first) / WIDTH)
    bars = [0] * max(1, min(WIDTH, round((last - first) / step)))
    times = [datetime.fromisoformat(one["timestamp"]).timestamp() for one in series]
    for one, at, until in zip(series, times, [*times[1:], last], strict=True):
        for bar in range(int((at - first) // step), len(bars)):
            if first + bar * step >= until and bar * step > at - first:
                break
            bars[bar] = max(bars[bar], one[side])
    return "".join(_LEVELS[-(-number * (len(_LEVELS) - 1) // highest)] for number in bars)


def _rounded(value: float | None) -> float | None:
    """Of what is less than 1 the first digits count too."""
    return None if value is None else round(value, 2 if value >= 1 else 4)
