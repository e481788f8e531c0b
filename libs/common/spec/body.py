"""Strict JSON: what is ambiguous or cannot be stored is refused, with its place."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from libs.common.errors import MAX_ISSUES, BadRequest, Issue, ParseFailed
from libs.common.spec.shown import shortened

MAX_DEPTH = 32
_MAX_DIGITS = 100
_SURROGATE = re.compile("[\ud800-\udfff]")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    """Stands for a value that cannot be taken. `is_json`: whether the grammar of JSON admits it."""

    message: str
    text: str
    is_json: bool = True


class _Repeating(dict[str, Any]):
    """An object some of whose fields are given more than once."""

    names: tuple[str, ...] = ()


def parse_json(body: bytes) -> object:
    """The value that a UTF-8 JSON text stands for.

    Raises ParseFailed when it is not JSON (syntax, encoding, NaN, Infinity), and BadRequest for repeated
    fields, lone surrogates, numbers beyond a double or 100 digits, and more than 32 levels.
    """
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_number,
            parse_constant=lambda text: _Fault(f"{text} is not JSON", text, is_json=False),
        )
    except UnicodeDecodeError as error:
        raise ParseFailed(*_at_root(f"the body is not UTF-8: byte {error.start} is wrong")) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ParseFailed(*_at_root(f"the body is not JSON: {error.msg} at {where}")) from error
    except RecursionError as error:
        raise BadRequest(*_at_root(f"the body is nested more than {MAX_DEPTH} levels deep")) from error
    issues: list[Issue] = []
    is_json = True
    for path, fault in _faults(value):
        is_json = is_json and fault.is_json
        if len(issues) < MAX_ISSUES:
            issues.append(Issue(path, fault.message, fault.text))
    if issues:
        place = ".".join(str(step) for step in issues[0].path)
        message = f"{place}: {issues[0].message}" if place else issues[0].message
        raise (BadRequest if is_json else ParseFailed)(message, issues)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeating = _Repeating(value)
    repeating.names = tuple(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
    return repeating


def _whole(text: str) -> int | _Fault:
    return int(text) if len(text) <= _MAX_DIGITS else _Fault("has too many digits", shortened(text))


def _number(text: str) -> float | _Fault:
    number = float(text)
    return number if math.isfinite(number) else _Fault("is too large a number", shortened(text))


def _faults(value: Any) -> Iterator[tuple[Path, _Fault]]:
    """Without recursion, in no particular order; nothing below the deepest level is looked at."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, node = waiting.pop()
        match node:
            case _Fault():
                yield path, node
            case str() if _SURROGATE.search(node):
                yield path, _Fault("holds half a surrogate pair, which is no character", shortened(node))
            case dict() | list() if len(path) >= MAX_DEPTH:
                yield path, _Fault(f"is nested more than {MAX_DEPTH} levels deep", "…")
            case dict():
                yield from _faults_of_names(path, node)
                waiting += (((*path, shortened(name)), inner) for name, inner in reversed(node.items()))
            case list():
                waiting += (((*path, index), inner) for index, inner in reversed(list(enumerate(node))))


def _faults_of_names(path: Path, node: dict[str, Any]) -> Iterator[tuple[Path, _Fault]]:
    if isinstance(node, _Repeating):
        for name in node.names:
            yield (*path, shortened(name)), _Fault("is given more than once", shortened(name))
    for name in node:
        if _SURROGATE.search(name):
            message = "is a name with half a surrogate pair, which is no character"
            yield (*path, shortened(name)), _Fault(message, shortened(name))


def _at_root(message: str) -> tuple[str, list[Issue]]:
    return message, [Issue((), message)]
