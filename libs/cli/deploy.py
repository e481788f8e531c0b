"""`specstream deploy`: submit a spec file and see it through."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from libs.cli import show, specfile, waiting
from libs.cli.connection import connect
from libs.cli.errors import told
from libs.cli.waiting import Seen
from libs.client import Client

DEADLINE_S = 300.0

_COLOURS = {
    "running": "green",
    "pending": "dim",
    "starting": "yellow",
    "unready": "yellow",
    "failed": "red",
    "stopping": "dim",
}

Project = Annotated[str, typer.Option("--project", "-p", help="Id of the project.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="See it through, or return once it is registered.")
]
Deadline = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait before giving up.")]


def deploy(
    file: Annotated[Path, typer.Option("--file", "-f", help="The spec: YAML, JSON or TOML.")],
    project: Project = "default",
    deployment: Annotated[
        str | None, typer.Option("--id", help="Update this deployment, whatever the spec's name.")
    ] = None,
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Create the deployment that a spec names, or update it, and wait until it is served."""
    with told(), connect() as client:
        config = specfile.load(file)
        deployment_id = client.submit(config, project_id=project, deployment_id=deployment)
        finish(client, deployment_id, wait=wait, timeout=timeout, json=json)


def finish(client: Client, deployment_id: str, *, wait: bool, timeout: float, json: bool) -> None:
    """The end of every command that changes a spec: wait, if asked, and show what came of it."""
    if wait:
        with Live(console=show.console, refresh_per_second=8, transient=False, auto_refresh=False) as live:

            def on_change(seen: Seen) -> None:
                if not json:
                    live.update(_progress(seen), refresh=True)

            waiting.until_done(client, deployment_id, deadline_s=timeout, on_change=on_change)
    final = client.deployment(deployment_id)
    if json:
        show.as_json(_result(final))
        return
    spec = final["latestSpec"]
    show.console.print(f"[bold]{show.status(final)}[/bold]  deployment {deployment_id}  spec {spec['id']}")
    show.console.print(f"http://{final['endpoint']}/", soft_wrap=True)


def _result(deployment: dict[str, Any]) -> dict[str, Any]:
    return {
        "deploymentId": deployment["id"],
        "specId": deployment["latestSpec"]["id"],
        "endpoint": deployment["endpoint"],
        "status": show.status(deployment),
    }


def _progress(seen: Seen) -> Group:
    lines = [
        Text.assemble(
            ("  replica ", "dim"),
            line.replica_id[:12],
            ("  run ", "dim"),
            line.run_id[:8],
            "  ",
            (line.state, _COLOURS.get(line.state, "")),
            (f"  {line.message}" if line.message else "", "dim"),
        )
        for line in seen.lines
    ]
    return Group(*lines)
