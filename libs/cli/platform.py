"""`specstream up` and `specstream down`."""

import typer

from libs.cli.connection import platform_settings
from libs.cli.errors import reported_errors
from libs.supervisor import commands


def up() -> None:
    """Run the platform in the foreground until Ctrl-C."""
    with reported_errors():
        raise typer.Exit(commands.up(platform_settings()))


def down() -> None:
    """Stop everything of the home, replicas too."""
    with reported_errors():
        raise typer.Exit(commands.down(platform_settings()))
