"""YAML read by its own rules, and with the place of each value in the text."""

from typing import Any

import yaml

Path = tuple[str | int, ...]


class StrictLoader(yaml.SafeLoader):
    """YAML's own rule, which PyYAML does not hold: a key stands once in a mapping."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here and not where values are made: by then `<<` may have been merged in.
        node = super().compose_mapping_node(anchor)
        names = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if (key.tag, key.value) in names:
                raise yaml.composer.ComposerError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            names.add((key.tag, key.value))
        return node


def read(text: str, name: str) -> tuple[Any, yaml.Node | None]:
    """What the text says, and the node that says it. name: of the file, for errors.

    Raises yaml.YAMLError, ValueError for a value that is none of its type, RecursionError.
    """
    loader = StrictLoader(text)
    loader.name = name
    try:
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    finally:
        loader.dispose()


def line_of(node: yaml.Node | None, path: Path) -> int:
    """The line, from 1, of the value at `path`, or of the nearest thing around it that is there."""
    line = 1
    for step in (*path, None):
        if node is None:
            break
        line = node.start_mark.line + 1
        match node:
            case yaml.SequenceNode() if isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            case yaml.MappingNode():
                node = next((value for key, value in node.value if key.value == step), None)
            case _:
                break
    return line
