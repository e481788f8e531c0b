"""Spec files: YAML, JSON and TOML as the reference clients take them (behaviour.md 1.1)."""

import json
import tomllib
from pathlib import Path
from typing import Any

import yaml

from libs.cli.errors import VALIDATION, CommandFailed

SUFFIXES = (".yaml", ".yml", ".json", ".toml")


def load(path: Path) -> dict[str, Any]:
    """The spec in a file, its top-level `$schema` left out. What is in it is the api's to judge."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{path} is not UTF-8 text", status=VALIDATION) from error
    try:
        content = _parse(text, path.suffix.lower())
    except (yaml.YAMLError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read as a spec:", f"  {error}", status=VALIDATION) from error
    if not isinstance(content, dict):
        raise CommandFailed(f"{path} holds no object", status=VALIDATION)
    content.pop("$schema", None)
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:  # a date, a NaN, a set: YAML and TOML have more than JSON
        raise CommandFailed(f"{path} holds what JSON has not: {error}", status=VALIDATION) from error
    return content


def _parse(text: str, suffix: str) -> Any:
    match suffix:
        case ".yaml" | ".yml":
            return yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a SafeLoader, stricter
        case ".json":
            return json.loads(text, object_pairs_hook=_no_duplicates)
        case ".toml":
            return tomllib.loads(text)
        case _:
            raise CommandFailed(
                f"a spec file ends in one of {', '.join(SUFFIXES)}; got {suffix!r}", status=VALIDATION
            )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CommandFailed(f"the key {twice!r} stands twice", status=VALIDATION)
    return content


class _StrictLoader(yaml.SafeLoader):
    """YAML's own rule, which PyYAML does not hold: a key stands once in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)
