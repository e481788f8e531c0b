"""YAML read by its own rules, and with the place of each value in the text."""

import re
from typing import Any

import yaml

Path = tuple[str | int, ...]


MERGED_KEYS = 100_000
"""So many a document may take over by `<<`. Mappings that merge one another can ask for any number in few
lines, and PyYAML would carry that out before anybody sees it."""

_MERGE = "tag:yaml.org,2002:merge"

_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+",
    "tag:yaml.org,2002:float": (
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
"""What is a number in YAML 1.2. PyYAML goes by 1.1, where `80:80` is 4880 and `010` is 8. Such values are
texts here, and a field that wants a number refuses them."""


class StrictLoader(yaml.SafeLoader):
    """YAML's own rule, which PyYAML does not hold: a key stands once in a mapping. And a bound of our own."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._merged_keys = 0
        self._unfolded: dict[int, int] = {}
        """By node of a mapping: its keys, the merged ones included."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Here and not where values are made: by then `<<` may have been merged in.
        node = super().compose_mapping_node(anchor)
        names = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if (key.tag, key.value) in names:
                raise yaml.composer.ComposerError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            names.add((key.tag, key.value))
        self._count_keys(node)
        return node

    def _count_keys(self, node: yaml.MappingNode) -> None:
        """What is merged stands before it in the text, so it is counted by now; but for a node that merges
        itself, which takes over nothing."""
        merged = 0
        for key, value in node.value:
            if key.tag == _MERGE:
                parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
                merged += sum(self._unfolded.get(id(part), 0) for part in parts)
        self._unfolded[id(node)] = len(node.value) + merged
        self._merged_keys += merged
        if self._merged_keys > MERGED_KEYS:
            raise yaml.composer.ComposerError(
                None, None, f"`<<` unfolds to more than {MERGED_KEYS} keys", node.start_mark
            )


StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NUMBERS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern in _NUMBERS.items():
    StrictLoader.add_implicit_resolver(_tag, re.compile(rf"^({_pattern})$"), list("-+.0123456789"))


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
