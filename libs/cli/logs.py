"""`specstream logs`: what the replicas of a deployment wrote."""

import sys
import time
from collections.abc import Iterable
from typing import Annotated

import typer

from libs.cli import naming, show
from libs.cli.connection import connect
from libs.cli.deploy import AsJson, Project
from libs.cli.deployments import Deployment
from libs.cli.errors import NOT_FOUND, USAGE, CommandFailed, reported_errors
from libs.client import Client, Json, Unreachable
from libs.common.clock import monotonic

FOLLOW_S = 0.5

AWAY_S = 60.0
"""For so long a platform that went away while its logs were followed may come back."""


def logs(
    deployment: Deployment,
    project: Project = "default",
    replica: Annotated[
        str | None,
        typer.Option(callback=naming.given, help="Of this replica only: its id, or how its id begins."),
    ] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=1, help="Only the last lines, so many.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    json: AsJson = False,
) -> None:
    """Show what the replicas wrote, the gone ones' last words too; stderr says of whom it cannot be read."""
    with reported_errors(), connect() as client:
        deployment_id = naming.deployment_id(client, deployment, project=project)
        instance_id = whole_id(client, deployment_id, replica)
        last: str | None = None
        noticed = Notices().say
        if tail is not None:
            lines = client.last_logs(deployment_id, tail, instance_id=instance_id, noticed=noticed)
            last = _print(lines, None, json=json)
            if not follow:
                _say_if_nothing(last)
                return
        reached = monotonic()
        while True:
            try:
                for line in client.logs(deployment_id, instance_id=instance_id, after=last, noticed=noticed):
                    last = _print([line], last, json=json)
                reached = monotonic()
            except Unreachable:
                if not follow or monotonic() - reached > AWAY_S:
                    raise
            if not follow:
                _say_if_nothing(last)
                return
            time.sleep(FOLLOW_S)


def _say_if_nothing(last: str | None) -> None:
    """last: the id of the last line that was shown."""
    if last is None:
        print("note: no line is kept of it; -f waits for what comes", file=sys.stderr)


class Notices:
    """Of whose lines may be missing: each is told once, beside the lines."""

    def __init__(self) -> None:
        self._said: set[tuple[str | None, str]] = set()

    def say(self, notice: Json) -> None:
        told = notice.get("instanceId"), show.harmless(notice["message"], sys.stderr)
        if told not in self._said:
            self._said.add(told)
            print(f"note: {(told[0] or 'gone replicas')[:13]}: {told[1]}", file=sys.stderr, flush=True)


def _print(lines: Iterable[Json], last: str | None, *, json: bool) -> str | None:
    """Show the lines; the id of the last one."""
    for line in lines:
        last = line["id"]
        if json:
            show.as_json_line(line)
        else:
            print(f"{(line.get('instanceId') or '')[:12]}  {show.harmless(line['message'])}", flush=True)
    return last


def whole_id(client: Client, deployment_id: str, replica: str | None) -> str | None:
    """The id that begins so, of a replica that is there, else of a gone one that wrote a line."""
    if replica is None or naming.ID.fullmatch(replica):
        return replica
    there = {instance["id"] for run in client.runs(deployment_id) for instance in run["instances"]}
    begun = _beginning(replica, there) or _beginning(
        replica, {line["instanceId"] for line in client.logs(deployment_id)}
    )
    match begun:
        case [found]:
            return found
        case []:
            raise CommandFailed(
                f"--replica: no replica begins with {replica!r}",
                "  `get` shows those that are there, `logs` those that wrote something",
                status=NOT_FOUND,
            )
    raise CommandFailed(
        f"--replica: {len(begun)} replicas begin with {replica!r}:",
        *(f"  {found}" for found in begun),
        status=USAGE,
    )


def _beginning(begin: str, ids: Iterable[str]) -> list[str]:
    return sorted(found for found in ids if found.startswith(begin))
