"""`specstream log`: verify, export and import the whole log."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from libs.cli.connection import connect
from libs.cli.errors import CommandFailed, told
from libs.cli.importing import import_file

app = typer.Typer(no_args_is_help=True, help="Verify, export and import the event log.")


@app.command()
def verify() -> None:
    """Check every chain, every sequence, and that each read model equals a fresh replay."""
    with told(), connect() as client:
        result = client.verify_log()
        if not result["ok"]:
            raise CommandFailed(f"the log is not sound: sequence {result['sequence']}: {result['reason']}")
        print(f"{result['events']} events, {result['aggregates']} aggregates verified")


@app.command(name="export")
def export_(file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist yet.")]) -> None:
    """Write every event to a file, and the head that it ends with."""
    with told(), connect() as client:
        if file.exists():
            raise CommandFailed(f"cannot write {file}: it exists already")
        part = file.with_name(f"{file.name}.part")
        try:
            with part.open("wb") as out:
                for chunk in client.export_log():
                    out.write(chunk)
            part.rename(file)
        except OSError as error:
            raise CommandFailed(f"cannot write {file}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        print(f"exported to {file}")


@app.command(name="import")
def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote.")]) -> None:
    """Fill the log of an empty home with an export: the same state comes back.

    Waits until every event is there, and goes on with an import of the same file that broke off.
    """
    with told(), connect() as client:
        events = import_file(client, file, say=lambda line: print(line, file=sys.stderr))
        print(f"{events} events imported")
