"""Spec files: YAML, JSON, JSON with comments and TOML, as the reference clients take them."""

import json
import math
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from libs.cli.errors import VALIDATION, CommandFailed
from libs.common import strict_yaml

SUFFIXES = (".yaml", ".yml", ".json", ".jsonc", ".toml")
STANDARD_INPUT = Path("-")
"""Read as YAML, of which JSON is a part."""

BITS = 1024
LEVELS = 100
VALUES = 100_000
"""Far beyond what the api takes; a file of some lines can unfold to more by YAML's aliases."""


def load(path: Path) -> dict[str, Any]:
    """The spec in a file, its top-level `$schema` left out. What is in it is the api's to judge.

    Raises CommandFailed naming the file, and the place in it, where it is not what JSON can hold.
    """
    try:
        written = sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
        text = written.decode("utf-8-sig")
    except OSError as error:
        raise CommandFailed(f"cannot read {named(path)}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{named(path)} is not UTF-8 text", status=VALIDATION) from error
    try:
        content = _parse(text, path)
        problem = next(_problems(content), None)
    except (yaml.YAMLError, ValueError) as error:
        raise _refused(path, str(error)) from error
    except RecursionError as error:
        raise _refused(path, f"it has too many levels to be read, and may have {LEVELS} at most") from error
    if problem or not isinstance(content, dict):
        raise _refused(path, problem or f"a spec is a mapping of fields, not {_kind(content)}")
    content.pop("$schema", None)
    return content


def named(path: Path) -> str:
    """As an error calls it."""
    return "the standard input" if path == STANDARD_INPUT else str(path)


def _refused(path: Path, problem: str) -> CommandFailed:
    lines = (f"  {line}" for line in problem.splitlines())
    return CommandFailed(f"{named(path)} cannot be read as a spec:", *lines, status=VALIDATION)


def _parse(text: str, path: Path) -> Any:
    if path == STANDARD_INPUT:
        return strict_yaml.read(text, named(path))[0]
    match path.suffix.lower():
        case ".yaml" | ".yml":
            return strict_yaml.read(text, path.name)[0]
        case ".json":
            return json.loads(text, object_pairs_hook=_no_duplicates)
        case ".jsonc":
            return _parse_with_comments(text)
        case ".toml":
            return tomllib.loads(text)
        case suffix:
            kind = f"`{suffix}`" if suffix else "a name without an ending"
            raise ValueError(f"its name must end in {', '.join(SUFFIXES)}, not {kind}")


def _parse_with_comments(text: str) -> Any:
    import json5  # noqa: PLC0415 - few spec files are written so

    return json5.loads(text, object_pairs_hook=lambda pairs: _no_duplicates(list(pairs)))


def _problems(content: Any) -> Iterator[str]:
    """What JSON cannot hold, with its place. Walks without recursion, for a YAML node may hold itself."""
    stack: list[tuple[str, int, Any]] = [("", 1, content)]
    seen = 0
    while stack:
        place, level, value = stack.pop()
        seen += 1
        if seen > VALUES:
            yield f"it unfolds to more than {VALUES} values"
            return
        if level > LEVELS:
            yield f"it has more than {LEVELS} levels"
            return
        match value:
            case dict():
                for key, item in value.items():
                    if not isinstance(key, str):
                        yield f"{place or 'the spec'}: the key {key!r} is {_kind(key)}; put it in quotes"
                    stack.append((f"{place}.{key}" if place else str(key), level + 1, item))
            case list():
                stack.extend((f"{place}[{at}]", level + 1, item) for at, item in enumerate(value))
            case float() if not math.isfinite(value):
                yield f"{place}: {value} is no number that JSON has"
            case int() if value.bit_length() > BITS:
                yield f"{place}: a number of more than {BITS} bits"
            case str() if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                yield f"{place}: half a surrogate pair is no text"
            case str() | bool() | int() | float() | None:
                pass
            case _:
                yield f"{place}: {value} is {_kind(value)}; put it in quotes to make it text"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return content
