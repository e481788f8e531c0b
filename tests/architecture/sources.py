"""The project's own source files, parsed once."""

import ast
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]

Found = TypeVar("Found")


@functools.cache
def python_files(*folders: str) -> tuple[Path, ...]:
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def found_in(files: Iterable[Path], look: Callable[[Path], Found]) -> dict[str, Found]:
    """What `look` finds, by file; files where it finds nothing are left out."""
    return {name_of(path): found for path in files if (found := look(path))}


def imported_modules(tree: ast.Module) -> set[str]:
    """Every module that is imported anywhere in the file, by its full name."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names
