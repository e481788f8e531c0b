"""`specstream deploy`: submit a spec file and see it through."""

from pathlib import Path
from typing import Annotated, Any

import typer

from libs.cli import edge, naming, show, specfile, waiting
from libs.cli.connection import connect, is_here
from libs.cli.errors import INTERRUPTED, CommandFailed, reported_errors
from libs.cli.progress import Progress
from libs.client import Client
from libs.common.clock import monotonic

DEADLINE_S = 300.0

Project = Annotated[str, typer.Option("--project", "-p", callback=naming.given, help="Id of the project.")]
ProjectOfDeployment = Annotated[
    str | None,
    typer.Option(
        "--project",
        "-p",
        callback=naming.given,
        show_default="default",
        help="Id of the project, where a deployment is named.",
    ),
]
"""Of commands that are about all deployments unless one is named."""
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="See it through, or return once it is registered.")
]
Deadline = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait before giving up.")]


def deploy(
    file: Annotated[
        Path,
        typer.Option(
            "--file",
            "-f",
            help="The spec: YAML, JSON, JSON with comments or TOML; `-` is YAML from standard input.",
        ),
    ],
    project: Project = "default",
    deployment: Annotated[
        str | None,
        typer.Option("--id", callback=naming.given, help="Update this deployment, whatever the spec's name."),
    ] = None,
    wait: Wait = True,
    timeout: Deadline = DEADLINE_S,
    json: AsJson = False,
) -> None:
    """Create the deployment that a spec names, or update it, and wait until it is served.

    Its replicas are ready then, and its endpoint has led a request (OPTIONS /) to one of them. At a platform
    that SPECSTREAM_URL names the endpoint is not asked.
    """
    with reported_errors(), connect() as client:
        config = specfile.load(file)
        deployment_id = client.submit(config, project_id=project, deployment_id=deployment)
        finish(client, deployment_id, wait=wait, timeout=timeout, json=json)


def finish(client: Client, deployment_id: str, *, wait: bool, timeout: float, json: bool) -> None:
    """The end of every command that changes a spec: wait, if asked, and show what came of it.

    A platform on this machine is waited for until its endpoint leads to a replica; that of another one may be
    reached from there alone.
    """
    if wait:
        give_up = monotonic() + timeout
        try:
            with Progress(show.console, is_shown=not json) as progress:
                seen = waiting.until_done(client, deployment_id, deadline_s=timeout, on_change=progress.show)
                if seen.is_wanted and is_here():
                    edge.until_led(seen.deployment["endpoint"], give_up=give_up)
        except KeyboardInterrupt:
            raise CommandFailed(
                f"no longer waiting, the change goes on: see `get {deployment_id}`",
                status=INTERRUPTED,
            ) from None
    final = client.deployment(deployment_id)
    if json:
        show.as_json(_result(final))
        return
    show.fields(
        [
            (show.status(final), f"http://{final['endpoint']}/"),
            ("deployment", final["id"]),
            ("spec", final["latestSpec"]["id"]),
        ]
    )


def _result(deployment: dict[str, Any]) -> dict[str, Any]:
    return {
        "deploymentId": deployment["id"],
        "specId": deployment["latestSpec"]["id"],
        "endpoint": deployment["endpoint"],
        "status": show.status(deployment),
    }
