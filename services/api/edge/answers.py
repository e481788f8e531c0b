"""What the publisher of a command is told: that it is done, or why it is not. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.common.clock import to_rfc3339
from libs.common.errors import Issue, Refused
from libs.common.ids import name_key
from services.api.edge.cloudevents import Named

DONE_TYPE = "specstream.command.done"
REJECTED_TYPE = "specstream.command.rejected"

MAX_BYTES = 64 * 1024
"""Of one answer, which is also remembered."""

MAX_VALUE = 200

FAILED_CODE = "INTERNAL_SERVER_ERROR"


@dataclass(frozen=True, slots=True)
class Message:
    headers: Mapping[str, str]
    body: bytes


def done(named: Named, *, deployment_id: str, spec_id: str | None) -> dict[str, Any]:
    """spec_id: of the spec in force for what was submitted; None for a deletion."""
    return {**_of(named), "deploymentId": deployment_id, "specId": spec_id}


def rejected(named: Named, error: Refused) -> dict[str, Any]:
    """With the issues that REST gives. Of an answer that would be too long values are cut, then issues left
    out: what was sent can be as large as a command."""
    whole = [issue.to_wire() for issue in error.issues]
    for issues in (whole, [_cut(issue) for issue in error.issues]):
        answer = _rejection(named, error.code, error.message, issues)
        if len(to_json(answer)) <= MAX_BYTES:
            return answer
    return _rejection(named, error.code, _shown(error.message), [])


def failed(named: Named, reason: str) -> dict[str, Any]:
    """The platform's fault, not the command's."""
    return _rejection(named, FAILED_CODE, reason, [])


def message(
    answer: Mapping[str, Any],
    *,
    of_type: str,
    project_id: str,
    at: datetime,
    traceparent: str | None,
) -> Message:
    """The same answer to the same command is the same event; but each message that asks is answered.

    at: when the answer became certain.
    """
    body = to_json(answer)
    answer_id = name_key(f"{of_type} {project_id}", body.decode())
    headers = {
        "ce-specversion": "1.0",
        "ce-id": answer_id,
        "ce-source": "specstream/api",
        "ce-type": of_type,
        "ce-time": to_rfc3339(at),
        "content-type": "application/json",
    }
    for name, field in (("ce-causationid", "commandId"), ("ce-causationsource", "commandSource")):
        value = answer[field]
        if value is not None and value.isascii() and value.isprintable():
            headers[name] = value
    if traceparent is not None:
        headers["traceparent"] = traceparent
    return Message(headers, body)


def to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _of(named: Named) -> dict[str, Any]:
    return {"commandId": named.id, "commandSource": named.source}


def _rejection(named: Named, code: str, text: str, issues: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**_of(named), "code": code, "message": text, "issues": list(issues)}


def _cut(issue: Issue) -> dict[str, Any]:
    path = tuple(_shown(part) if isinstance(part, str) else part for part in issue.path)
    value, allowed = _shown_value(issue.value), _shown_value(issue.allowed)
    return Issue(path, _shown(issue.message), value, allowed).to_wire()


def _shown(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}… ({len(text)} characters)"


def _shown_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _shown(value if isinstance(value, str) else json.dumps(value, default=str))
