"""`specstream up` and `specstream down`.

The supervisor is imported by the one that is asked for: it would be half of the start of every other command.
"""

import typer

from libs.cli.connection import platform_settings
from libs.cli.errors import reported_errors


def up() -> None:
    """Run the platform in the foreground until Ctrl-C."""
    from libs.supervisor import commands  # noqa: PLC0415

    with reported_errors():
        raise typer.Exit(commands.up(platform_settings()))


def down() -> None:
    """Stop everything of the home, replicas too."""
    from libs.supervisor import ending  # noqa: PLC0415

    with reported_errors():
        raise typer.Exit(ending.down(platform_settings()))
