"""What changed from one spec to another, as data. Pure."""

from collections.abc import Iterator
from typing import Any

from libs.common.spec.model import Spec

Path = tuple[str | int, ...]


def diff(before: Spec, after: Spec) -> list[dict[str, Any]]:
    """`{path, from, to}` of every leaf that differs, sorted by path; empty exactly when nothing differs.

    The path is dotted, list elements by index (`env.0.value`). Defaults are filled in on both sides; a leaf
    that one side does not have is None there.
    """
    old, new = dict(_leaves((), before.to_wire())), dict(_leaves((), after.to_wire()))
    changed = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    return [
        {"path": ".".join(map(str, path)), "from": old.get(path), "to": new.get(path)} for path in changed
    ]


def _leaves(path: Path, node: Any) -> Iterator[tuple[Path, Any]]:
    match node:
        case dict():
            for name, value in node.items():
                yield from _leaves((*path, name), value)
        case list():
            for index, value in enumerate(node):
                yield from _leaves((*path, index), value)
        case _:
            yield path, node
