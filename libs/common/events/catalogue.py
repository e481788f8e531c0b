"""Every fact there is, by name. Names are strings here, so that moving a class never breaks history."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from libs.common.events.fact import Fact

_FOLDER = "libs.common.events"


def _facts() -> Iterator[type[Fact]]:
    """The facts of every module of this folder, in its order; without the bases that they are made from."""
    for module in iter_modules(import_module(_FOLDER).__path__):
        if f"{_FOLDER}.{module.name}" == __name__:
            continue
        here = vars(import_module(f"{_FOLDER}.{module.name}")).values()
        facts = [one for one in here if isinstance(one, type) and issubclass(one, Fact)]
        bases = {base for fact in facts for base in fact.__bases__} | {Fact}
        yield from (fact for fact in facts if fact not in bases)


CATALOGUE: Mapping[str, type[Fact]] = MappingProxyType({fact.event_type(): fact for fact in _facts()})


def schema_name(event_type: str) -> str:
    """What the `dataschema` of an event of this type begins with, before its version."""
    return f"urn:specstream:event:{event_type}"


def dataschema(fact: type[Fact]) -> str:
    """The CloudEvents `dataschema` of a fact: its name and the version of its payload."""
    return f"{schema_name(fact.event_type())}:v{fact.version}"


def readable_dataschemas(fact: type[Fact]) -> tuple[str, ...]:
    """Every `dataschema` that this version of Specstream reads as this fact."""
    return tuple(f"{schema_name(fact.event_type())}:v{v}" for v in (*fact.earlier_versions, fact.version))


_SCHEMAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: readable_dataschemas(fact) for name, fact in CATALOGUE.items()}
)


def encode(fact: Fact) -> bytes:
    """The payload as it is stored: JSON; what is unset stays out."""
    return fact.model_dump_json(by_alias=True, exclude_none=True).encode()


def payload(data: bytes) -> Mapping[str, Any] | None:
    """The payload as stored; None for what is none."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None


def decode(event_type: str, data: bytes) -> tuple[Mapping[str, Any], Fact | None]:
    """The payload as stored, and as this version understands it: None for what it does not know."""
    raw = payload(data)
    known = CATALOGUE.get(event_type)
    if raw is None or known is None:
        return raw or {}, None
    try:
        return raw, known.model_validate(raw)
    except ValidationError:
        return raw, None


def unknown_schema(event_type: str, schema: str) -> str:
    """Why the payload cannot be read by its `dataschema`; empty when it can, or when its type is unknown."""
    known = _SCHEMAS.get(event_type)
    if known is None or schema in known:
        return ""
    readable = " and ".join(known)
    return f"its payload is of the schema {schema[:200]}; this version of Specstream reads {readable}"


def unknown_fields(fact: Fact, raw: Mapping[str, Any]) -> tuple[str, ...]:
    """What a payload says that this version of its fact leaves out, by the path of each field."""
    return tuple(dict.fromkeys(_unknown(type(fact), raw, "")))


def _unknown(model: type[BaseModel], raw: Mapping[str, Any], path: str) -> list[str]:
    names, parts = _shape(model)
    found = [] if raw.keys() <= names else [f"{path}{key}" for key in raw if key not in names]
    for key, part in parts:
        inner = raw.get(key)
        for one in inner if isinstance(inner, list) else (inner,):
            if isinstance(one, dict):
                found += _unknown(part, one, f"{path}{key}.")
    return found


@cache
def _shape(model: type[BaseModel]) -> tuple[frozenset[str], tuple[tuple[str, type[BaseModel]], ...]]:
    """The names of a model's fields as they are stored, and those that hold models themselves."""
    names: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        names[key] = names[field.alias or key] = field.annotation
    parts = ((key, part) for key, annotation in names.items() if (part := _model_in(annotation)))
    return frozenset(names), tuple(parts)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, or holds several of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def why_unknown(event_type: str, data: bytes) -> str:
    """Why `decode` gives no fact: names the type, or the first field that does not fit."""
    known = CATALOGUE.get(event_type)
    if known is None:
        return f"{event_type} is no type of event that this version of Specstream knows"
    raw = payload(data)
    if raw is None:
        return "its payload is not a JSON object"
    try:
        known.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"its payload cannot be read: {place}: {first['msg']}, not {str(first['input'])[:100]!r}"
    return ""
