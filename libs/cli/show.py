"""How things look: tables for people, JSON for scripts."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def as_json_line(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """A plain table; `empty` is said where there are no rows. Ids are never cut."""
    filled = [[_cell(value) for value in row] for row in rows]
    if not filled:
        console.print(f"[dim]{empty}[/dim]")
        return
    view = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        view.add_column(column, overflow="fold", no_wrap=column in {"ID", "SPEC", "RUN", "REPLICA"})
    for row in filled:
        view.add_row(*row)
    console.print(view)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        # Names hold anything printable; what looks like markup is no markup.
        return value.replace("[", r"\[")
    return json.dumps(value, ensure_ascii=False).replace("[", r"\[")


def local_time(rfc3339: str | None) -> str | None:
    """A time of the API in the reader's own time zone, to the second."""
    if rfc3339 is None:
        return None
    moment = datetime.fromisoformat(rfc3339)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def status(deployment: dict[str, Any]) -> str:
    """One word for a deployment, from what the API tells of its newest spec (behaviour.md 4, row 23).

    | enabled, replicas > 0 | error | dtHealthy | externalApplied | word      |
    |-----------------------|-------|-----------|-----------------|-----------|
    | no                    | any   | any       | any             | stopped   |
    | yes                   | set   | any       | any             | failed    |
    | yes                   | unset | set       | any             | ready     |
    | yes                   | unset | unset     | set             | deploying |
    | yes                   | unset | unset     | unset           | applying  |
    """
    spec = deployment.get("latestSpec") or {}
    data = spec.get("data") or {}
    if not data.get("enabled", True) or data.get("resources", {}).get("replicas") == 0:
        return "stopped"
    if spec.get("error"):
        return "failed"
    if spec.get("dtHealthy"):
        return "ready"
    return "deploying" if spec.get("externalApplied") else "applying"
