"""What is wrong with the query of a request, with what each parameter may be. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from libs.common.errors import BadRequest, Issue


def wrong_query(errors: Iterable[Mapping[str, Any]], route: Any) -> BadRequest:
    """errors: as pydantic tells them. route: the one that was asked, which knows its parameters."""
    known = _parameters(route)
    issues = [_issue(details, known) for details in errors]
    first = issues[0]
    return BadRequest(f"{'.'.join(map(str, first.path))}: {first.message}", issues)


def _issue(details: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> Issue:
    _place, *path = details["loc"]
    field = known.get(str(path[0])) if path else None
    context = details.get("ctx", {})
    message, value, allowed = str(details["msg"]), details.get("input"), _allowed(field)
    match details["type"]:
        case "extra_forbidden":
            message, allowed = "is not a known query parameter", sorted(known) or None
        case "missing":
            message, value = "is required", None
            allowed = allowed or (field.description if field else None)
        case "literal_error" | "enum":
            message, allowed = "is not one of the allowed values", context.get("expected")
        case "int_parsing":
            message = "must be a whole number"
        case "greater_than_equal":
            message = f"must be at least {context['ge']}"
        case "less_than_equal":
            message = f"must be at most {context['le']}"
    shown = value[:100] if isinstance(value, str) else value
    return Issue(tuple(path), message, _jsonable(shown), allowed)


def _parameters(route: Any) -> Mapping[str, FieldInfo]:
    """By the name that a request has to use."""
    models = [
        parameter.field_info.annotation
        for parameter in (route.dependant.query_params if isinstance(route, APIRoute) else ())
    ]
    return {
        field.alias or name: field
        for model in models
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
    }


def _allowed(field: FieldInfo | None) -> str | Sequence[str] | None:
    """What the parameter may be, where its type alone tells."""
    if field is None:
        return None
    if get_origin(field.annotation) is Literal:
        return [str(one) for one in get_args(field.annotation)]
    least = next((one.ge for one in field.metadata if isinstance(one, Ge)), None)
    most = next((one.le for one in field.metadata if isinstance(one, Le)), None)
    if least is None and most is None:
        return None
    if most is None:
        return f"a whole number, at least {least}"
    return f"a whole number from {least} to {most}"


def _jsonable(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)[:100]
