"""The `specstream` command."""

import io
import os
import sys
from pathlib import Path

import typer

from libs.cli import (
    cost,
    decisions,
    deploy,
    deployments,
    events,
    log,
    logs,
    machine_types,
    metrics,
    platform,
    projects,
    top,
    whatif,
)
from libs.cli.errors import reported_errors

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run containers and models from a declarative spec; every change is an event.",
)

app.command()(platform.up)
app.command()(platform.down)
app.command()(deploy.deploy)
app.command(name="list")(deployments.list_)
app.command()(deployments.get)
app.command()(deployments.history)
app.command()(decisions.explain)
app.command()(decisions.decisions)
app.command()(whatif.whatif)
app.command()(deployments.diff)
app.command()(deployments.rollback)
app.command()(deployments.enable)
app.command()(deployments.disable)
app.command()(deployments.scale)
app.command()(deployments.delete)
app.add_typer(projects.app, name="projects")
app.command(name="machine-types")(machine_types.machine_types)
app.command()(metrics.metrics)
app.command()(top.top)
app.command()(cost.cost)
app.command()(logs.logs)
app.command()(events.events)
app.add_typer(log.app, name="log")


def main() -> None:
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names hold any letter, and a terminal may not know it
            stream.reconfigure(errors="backslashreplace")
    try:
        with reported_errors():  # commands have their own; the help has not
            app(prog_name="specstream")
    except typer.Exit as ended:
        sys.exit(ended.exit_code)


def _open_what_is_closed() -> None:
    """`>&-` closes a stream, and Python has none then; what is read or written is that of /dev/null."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - as long as the process
