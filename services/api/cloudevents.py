"""CloudEvents as they come over NATS, in binary or in structured mode. Pure."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from libs.common.errors import BadRequest, Issue, ParseFailed
from libs.common.spec.body import parse_json

STRUCTURED = "application/cloudevents+json"

MAX_ATTRIBUTE = 256

_ATTRIBUTE = re.compile(r"[^\x00-\x20\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?")
"""Ids and sources go on into headers of events: one line, nothing at its ends that would be stripped."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """data: its bytes in binary mode; None when there are none."""

    id: str
    source: str
    type: str
    data: object


class Malformed(BadRequest):
    """Not a CloudEvent. event_id: its id, if that much could be read."""

    def __init__(self, message: str, issues: list[Issue], event_id: str | None) -> None:
        super().__init__(message, issues)
        self.event_id = event_id


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
        event_id = _text(attributes.get("id"))
        _check(attributes, event_id)
        data = _json(body, event_id) if body else None
        return CloudEvent(attributes["id"], attributes["source"], attributes["type"], data)
    envelope = _json(body, None)
    if not isinstance(envelope, dict):
        raise Malformed("the message is not a CloudEvent", [Issue((), "must be an object")], None)
    event_id = _text(envelope.get("id"))
    _check(envelope, event_id)
    return CloudEvent(envelope["id"], envelope["source"], envelope["type"], _data(envelope, event_id))


def id_in_headers(headers: Mapping[str, str]) -> str | None:
    """The id of an event in binary mode, whose body nobody looked at; None when there is none."""
    return _text(_binary_attributes(headers).get("id"))


def _binary_attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Empty in structured mode."""
    given = {name.lower(): value for name, value in headers.items()}
    if given.get("content-type", "").lower().startswith(STRUCTURED):
        return {}
    return {name[3:]: unquote(value) for name, value in given.items() if name.startswith("ce-")}


def _data(envelope: Mapping[str, Any], event_id: str | None) -> object:
    if "data_base64" not in envelope:
        return envelope.get("data")
    if "data" in envelope:
        message = "is given together with data: give one of them"
        raise Malformed(f"data_base64: {message}", [Issue(("data_base64",), message)], event_id)
    try:
        data = base64.b64decode(envelope["data_base64"], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        message = "is not base64"
        raise Malformed(f"data_base64: {message}", [Issue(("data_base64",), message)], event_id) from error
    return _json(data, event_id)


def _json(body: bytes, event_id: str | None) -> object:
    try:
        return parse_json(body)
    except BadRequest as error:
        malformed = Malformed(error.message, list(error.issues), event_id)
        if isinstance(error, ParseFailed):
            malformed.code = error.code
        raise malformed from error


def _text(value: object) -> str | None:
    return value[:MAX_ATTRIBUTE] if isinstance(value, str) else None


def _check(attributes: Mapping[str, object], event_id: str | None) -> None:
    issues = []
    for name in ("id", "source", "type"):
        value = attributes.get(name)
        if value is None:
            issues.append(Issue((name,), "is required"))
        elif not (isinstance(value, str) and len(value) <= MAX_ATTRIBUTE and _ATTRIBUTE.fullmatch(value)):
            shown = value[:100] if isinstance(value, str) else None
            message = f"must be 1 to {MAX_ATTRIBUTE} characters on one line"
            issues.append(Issue((name,), message, shown))
    version = attributes.get("specversion")
    if version != "1.0":
        shown = version[:100] if isinstance(version, str) else None
        issues.append(Issue(("specversion",), "is not a known version", shown, ["1.0"]))
    if issues:
        first = issues[0]
        raise Malformed(f"{first.path[0]}: {first.message}", issues, event_id)


def to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
