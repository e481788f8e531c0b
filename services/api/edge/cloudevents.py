"""CloudEvents as they come over NATS, in binary or in structured mode. Pure."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from libs.common.errors import BadRequest, Issue, ParseFailed
from libs.common.spec.body import parse_json
from libs.common.spec.shown import spelled_out

STRUCTURED = "application/cloudevents+json"

MAX_ATTRIBUTE = 256

OUR_TYPES = "specstream."
"""How the types begin that have a meaning here."""

_ATTRIBUTE = re.compile(r"[^\x00-\x20\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?")
"""Ids and sources go on into headers of events: one line, nothing at its ends that would be stripped."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    id: str
    source: str
    type: str
    data: object
    """Its bytes in binary mode; None when there are none."""


@dataclass(frozen=True, slots=True)
class Named:
    """What could be read of who an event is."""

    id: str | None = None
    """As text, cut to what may be shown."""
    source: str | None = None
    """As text, cut to what may be shown."""
    is_known: bool = False
    """Whether both are fit to be recognised by; then they are whole."""


class Malformed(BadRequest):
    """Not a CloudEvent. named: who it is, if that much could be read."""

    def __init__(self, message: str, issues: list[Issue], named: Named) -> None:
        super().__init__(message, issues)
        self.named = named

    @property
    def event_id(self) -> str | None:
        return self.named.id


def parse_cloud_event(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """Raises Malformed, with an issue for each attribute that is missing or cannot be taken.

    Data in structured mode stands under `data`, or as bytes under `data_base64`.

    | content-type                   | `ce-` headers | mode       |
    |--------------------------------|---------------|------------|
    | application/cloudevents+json…  | -             | structured |
    | another, or none               | some          | binary     |
    | another, or none               | none          | structured |
    """
    attributes = _binary_attributes(headers)
    if attributes:
        named = _named(attributes)
        _check(attributes, named)
        data = _json(body, named) if body else None
        return CloudEvent(attributes["id"], attributes["source"], attributes["type"], data)
    envelope = _json(body, Named())
    if not isinstance(envelope, dict):
        raise Malformed("the message is not a CloudEvent", [Issue((), "must be an object")], Named())
    named = _named(envelope)
    _check(envelope, named)
    return CloudEvent(envelope["id"], envelope["source"], envelope["type"], _data(envelope, named))


def misnamed(event: CloudEvent, verb: str) -> BadRequest | None:
    """Why its type contradicts its subject, which asks for `verb`. Only types of ours can: others are the
    publisher's own, who may name his events as he likes."""
    expected = f"{OUR_TYPES}deployment.{verb}"
    if not event.type.startswith(OUR_TYPES) or event.type == expected:
        return None
    message = f"is not that of the subject, which asks for {verb}"
    return BadRequest(f"type: {message}", [Issue(("type",), message, event.type, [expected])])


def named_in_headers(headers: Mapping[str, str]) -> Named:
    """Who an event in binary mode is, without a look at its body."""
    return _named(_binary_attributes(headers))


def _binary_attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Empty in structured mode."""
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("content-type", "").lower().startswith(STRUCTURED):
        return {}
    return {name[3:]: unquote(value) for name, value in given.items() if name.startswith("ce-")}


def _data(envelope: Mapping[str, Any], named: Named) -> object:
    if "data_base64" not in envelope:
        return envelope.get("data")
    if "data" in envelope:
        message = "is given together with data: give one of them"
        raise Malformed(f"data_base64: {message}", [Issue(("data_base64",), message)], named)
    try:
        data = base64.b64decode(envelope["data_base64"], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        message = "is not base64"
        raise Malformed(f"data_base64: {message}", [Issue(("data_base64",), message)], named) from error
    return _json(data, named)


def _json(body: bytes, named: Named) -> object:
    try:
        return parse_json(body)
    except BadRequest as error:
        malformed = Malformed(error.message, list(error.issues), named)
        if isinstance(error, ParseFailed):
            malformed.code = error.code
        raise malformed from error


def _named(attributes: Mapping[str, object]) -> Named:
    id_, source = attributes.get("id"), attributes.get("source")
    return Named(_text(id_), _text(source), is_known=_is_fit(id_) and _is_fit(source))


def _text(value: object) -> str | None:
    return value[:MAX_ATTRIBUTE] if isinstance(value, str) else None


def _shown(value: object) -> str | None:
    return spelled_out(value[:100]) if isinstance(value, str) else None


def _is_fit(value: object) -> bool:
    """Bytes of a header that are no UTF-8 arrive as halves of surrogate pairs, which cannot be sent on."""
    if not (isinstance(value, str) and len(value) <= MAX_ATTRIBUTE and _ATTRIBUTE.fullmatch(value)):
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _check(attributes: Mapping[str, object], named: Named) -> None:
    issues = []
    for name in ("id", "source", "type"):
        value = attributes.get(name)
        if value is None:
            issues.append(Issue((name,), "is required"))
        elif not _is_fit(value):
            shown = _shown(value)
            message = f"must be 1 to {MAX_ATTRIBUTE} characters on one line"
            issues.append(Issue((name,), message, shown))
    version = attributes.get("specversion")
    if version != "1.0":
        issues.append(Issue(("specversion",), "is not a known version", _shown(version), ["1.0"]))
    if issues:
        first = issues[0]
        raise Malformed(f"{first.path[0]}: {first.message}", issues, named)
