"""Processes that this one has started, by what they were started with."""

from pathlib import Path


def children(pid: int | str, holding: str) -> list[int]:
    """The pids of those in whose command line `holding` stands."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            arguments = Path(f"/proc/{child}/cmdline")
            if arguments.exists() and holding.encode() in arguments.read_bytes():
                found.append(int(child))
    return found
