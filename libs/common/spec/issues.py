"""From what pydantic says about a value to what we say to people: path, message, value, what is allowed."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from libs.common.errors import MAX_ISSUES, Issue
from libs.common.spec.expected import Path, allowed, known_fields, type_tags
from libs.common.spec.integrations import Input
from libs.common.spec.shown import shortened, shown
from libs.common.spec.text import IN_WORDS

_MESSAGES = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_unicode": "holds half a surrogate pair, which is no character",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} values",
    "literal_error": "is not one of the allowed values",
    "union_tag_invalid": "is not one of the allowed values",
    "union_tag_not_found": "is required",
}

_PLACES = {
    "port": "resources.ports",
    "instanceType": "machineType",
    "models": "integrations",
    "repositories": "integrations",
    "ports": "resources.ports",
    "replicas": "resources.replicas",
    "machineType": "resources.machineType",
    "autoscaling": "resources.autoscaling",
}
"""Where the content of a field belongs that v0alpha0 had, or that is easily put one level too high."""


def issues_of(shape: type[Input], error: ValidationError) -> Iterator[Issue]:
    """One issue for each error, as many as an answer may carry."""
    for details in islice(error.errors(include_url=False), MAX_ISSUES):
        yield _issue(shape, details)


def unknown_field(path: Path, value: Any, fields: list[str]) -> Issue:
    name = str(path[-1])
    message = "is not a known field"
    if name in _PLACES and _PLACES[name].split(".")[0] in fields:
        message += f"; its place is `{_PLACES[name]}`"
    elif close := get_close_matches(name[:100], fields, n=1):
        message += f"; did you mean `{close[0]}`?"
    return Issue(_clean(path), message, shown(path, value), fields)


def _issue(shape: type[Input], details: ErrorDetails) -> Issue:
    kind, value = details["type"], details["input"]
    path, type_tag = _without_type_tag(details["loc"])
    if kind == "extra_forbidden":
        return unknown_field(path, value, known_fields(shape, path[:-1], type_tag))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        value = value.get("type") if isinstance(value, dict) else value
        return Issue((*path, "type"), _message(details), shown(path, value), type_tags(shape, path))
    if kind == "missing":
        value = None
    known = details.get("ctx", {}).get("allowed")  # said by whoever refused it: no schema has it
    return Issue(_clean(path), _message(details), shown(path, value), known or allowed(shape, path, type_tag))


def _message(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if details["input"] is None and kind.endswith("_type"):
        return "must not be null: give it a value, or leave it out if it is optional"
    if kind == "string_pattern_mismatch":
        return f"must be {IN_WORDS[context['pattern']]}"
    return _MESSAGES.get(kind, details["msg"]).format(**context)


def _without_type_tag(path: Path) -> tuple[Path, str | None]:
    """pydantic puts the tag of the chosen alternative into the path; nobody wrote it there."""
    if len(path) > 2 and path[0] == "integrations" and isinstance(path[1], int):
        return (*path[:2], *path[3:]), str(path[2])
    return path, None


def _clean(path: Path) -> Path:
    return tuple(shortened(step) if isinstance(step, str) else step for step in path)
