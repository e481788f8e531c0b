"""`specstream up` and `specstream down`."""

import typer

from libs.cli.connection import platform_settings
from libs.cli.errors import told
from libs.supervisor import commands


def up() -> None:
    """Run the platform in the foreground until Ctrl-C."""
    with told():
        raise typer.Exit(commands.up(platform_settings()))


def down() -> None:
    """Stop everything of the home, replicas too."""
    with told():
        raise typer.Exit(commands.down(platform_settings()))
