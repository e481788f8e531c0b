"""Processes that this one has started, by what they were started with."""

from pathlib import Path


def children(pid: int | str, *holding: str) -> list[int]:
    """The pids of those in whose command line all of `holding` stands.

    For a moment after its start a process has none: whoever started it goes on before the kernel has set it.
    """
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in _read(task / "children").split()
        if all(each.encode() in _read(Path(f"/proc/{child.decode()}/cmdline")) for each in holding)
    ]


def _read(file: Path) -> bytes:
    """Nothing of a thread or a process that has ended meanwhile."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
