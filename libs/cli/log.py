"""`specstream log`: verify, export and import the whole log."""

import json
from pathlib import Path
from typing import Annotated

import typer

from libs.cli.connection import connect
from libs.cli.errors import CommandFailed, reported_errors
from libs.cli.importing import import_file
from libs.cli.telling import Telling
from libs.client import Json

app = typer.Typer(no_args_is_help=True, help="Verify, export and import the event log.")

_LONGEST_HEAD = 1024
"""Bytes; it is the last line of an export."""


@app.command()
def verify(
    head: Annotated[
        str | None, typer.Option(help="What `export` printed: the log must still be that one up to there.")
    ] = None,
) -> None:
    """Check every chain, every sequence, and that each read model equals a fresh replay.

    It detects gaps, messages that are no events, every change of what an event's hash covers, and read models
    that differ from a replay; whoever rewrites the log so that all hashes fit again, or takes away its newest
    events, is detected only against a head that was kept elsewhere.
    """
    with reported_errors(), connect() as client:
        with Telling() as say:
            result = client.verify_log(
                head=head, told=lambda done, of: say(f"verified {done} of {of} events")
            )
        if not result["ok"]:
            raise CommandFailed(f"the log is not sound: sequence {result['sequence']}: {result['reason']}")
        print(f"{result['events']} events, {result['aggregates']} aggregates verified")
        if unread := result.get("unread"):
            print(unread)


@app.command(name="export")
def export_(file: Annotated[Path, typer.Argument(help="Where to write it; it must not exist yet.")]) -> None:
    """Write every event to a file, and the head that it ends with."""
    with reported_errors(), connect() as client:
        if file.exists():
            raise CommandFailed(f"cannot write {file}: it exists already")
        part = file.with_name(f"{file.name}.part")
        end, lines = b"", 0
        try:
            with part.open("wb") as out, Telling() as say:
                for chunk in client.export_log():
                    out.write(chunk)
                    end = (end + chunk)[-_LONGEST_HEAD:]
                    lines += chunk.count(b"\n")
                    say(f"exported {max(0, lines - 1)} events")
            part.rename(file)
        except OSError as error:
            raise CommandFailed(f"cannot write {file}: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        head = json.loads(end.rsplit(b"\n", 2)[-2])["head"]
        print(f"exported {head['events']} events to {file}")
        print(f"head {_head(head)}: keep it elsewhere, for `log verify --head`")


def _head(head: Json) -> str:
    """Of an export, as `verify` takes it."""
    return ":".join(str(head[part]) for part in ("version", "sequence", "events", "digest"))


@app.command(name="import")
def import_(file: Annotated[Path, typer.Argument(help="What `export` wrote.")]) -> None:
    """Fill the log of an empty home with an export: the same state comes back.

    Waits until every event is there, and goes on with an import of the same file that broke off.
    """
    with reported_errors(), connect() as client:
        with Telling() as say:
            events = import_file(client, file, say=say)
        print(f"{events} events imported")
