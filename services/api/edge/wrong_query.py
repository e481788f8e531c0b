"""What is wrong with the query of a request, with what each parameter may be. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from libs.common.errors import MAX_ISSUES, BadRequest, Issue
from libs.common.spec.shown import shortened, shown

UNKNOWN = "is not a known query parameter"


def wrong_query(errors: Iterable[Mapping[str, Any]], route: Any) -> BadRequest:
    """errors: as pydantic tells them. route: the one that was asked, which knows its parameters."""
    known = _parameters(route)
    return _refused([_issue(details, known) for details in islice(errors, MAX_ISSUES)])


def check_query(pairs: Iterable[tuple[str, str]], route: Any) -> None:
    """Raises BadRequest for what the framework lets pass: a parameter that is given twice, of which one would
    do nothing, and an unknown one where the route takes no model, which would forbid it.

    pairs: the query, as sent. route: as in `wrong_query`.
    """
    pairs = list(pairs)
    if not pairs:
        return
    known = _parameters(route)
    times = Counter(name for name, _ in pairs)
    has_model = any(_model(parameter.field_info) for parameter in route.dependant.query_params)
    last = dict(pairs)
    issues: list[Issue] = []
    message: str
    allowed: Any
    for name, number in times.items():
        if name in known and number > 1:
            message, allowed = "is given more than once", "one value"
        elif name not in known and not has_model:
            message, allowed = UNKNOWN, sorted(known)
        else:
            continue
        issues.append(Issue((shortened(name),), message, shown((name,), last[name]), allowed))
    if issues:
        raise _refused(issues[:MAX_ISSUES])


def _refused(issues: Sequence[Issue]) -> BadRequest:
    first = issues[0]
    return BadRequest(f"{'.'.join(map(str, first.path))}: {first.message}", list(issues))


def _issue(details: Mapping[str, Any], known: Mapping[str, FieldInfo]) -> Issue:
    _place, *path = details["loc"]
    field = known.get(str(path[0])) if path else None
    context = details.get("ctx", {})
    message, value, allowed = str(details["msg"]), details.get("input"), _allowed(field)
    match details["type"]:
        case "extra_forbidden":
            message, allowed = UNKNOWN, sorted(known)
        case "missing":
            message, value = "is required", None
            allowed = allowed or (field.description if field else None)
        case "literal_error" | "enum":
            message = "is not one of the allowed values"
            allowed = allowed or context.get("expected")
        case "int_parsing":
            message = "must be a whole number"
        case "bool_parsing":
            message, allowed = "must be true or false", "true or false"
        case "greater_than_equal":
            message = f"must be at least {context['ge']}"
        case "less_than_equal":
            message = f"must be at most {context['le']}"
    return Issue(tuple(path), message, shown(tuple(path), value), allowed)


def _parameters(route: Any) -> Mapping[str, FieldInfo]:
    """By the name that a request has to use."""
    known: dict[str, FieldInfo] = {}
    for parameter in route.dependant.query_params if isinstance(route, APIRoute) else ():
        if model := _model(parameter.field_info):
            known |= {field.alias or name: field for name, field in model.model_fields.items()}
        else:
            known[parameter.alias] = parameter.field_info
    return known


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """Whose fields are the parameters."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _allowed(field: FieldInfo | None) -> str | Sequence[str] | None:
    """What the parameter may be, where its type alone tells."""
    if field is None:
        return None
    if get_origin(field.annotation) is Literal:
        return [str(one) for one in get_args(field.annotation)]
    for one in get_args(field.annotation):
        if isinstance(one, type) and issubclass(one, StrEnum):
            return list(one)
    least = next((one.ge for one in field.metadata if isinstance(one, Ge)), None)
    most = next((one.le for one in field.metadata if isinstance(one, Le)), None)
    if least is None and most is None:
        return None
    if most is None:
        return f"a whole number, at least {least}"
    return f"a whole number from {least} to {most}"
