"""What the publisher of a command is told: that it is done, or why it is not. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.common.bus import subjects
from libs.common.clock import to_rfc3339
from libs.common.errors import Issue, Refused
from libs.common.ids import name_key
from libs.common.spec.shown import spelled_out
from services.api.edge.cloudevents import Named
from services.api.edge.schemas.base import Answer, IssueAnswer

DONE_TYPE = "specstream.command.done"
REJECTED_TYPE = "specstream.command.rejected"

MAX_BYTES = 64 * 1024
"""Of one answer, which is also remembered."""

MAX_VALUE = 200

FAILED_CODE = "INTERNAL_SERVER_ERROR"


class Done(Answer):
    """A command is carried out, or found everything as it asks.

    commandId, commandSource: of the command. specId: of the spec in force for what was submitted; null for a
    deletion.
    """

    command_id: str
    command_source: str
    deployment_id: str
    spec_id: str | None


class Rejection(Answer):
    """Why a command was refused, with the issues that REST would give.

    commandId, commandSource: of the command; null if it had none.
    """

    command_id: str | None
    command_source: str | None
    code: str
    message: str
    issues: list[IssueAnswer]


Answered = Done | Rejection


@dataclass(frozen=True, slots=True)
class Message:
    subject: str
    headers: Mapping[str, str]
    body: bytes
    """`answer` as JSON. These bytes are what its id is made from, and so what is sent."""
    answer: Answered


def done(named: Named, *, deployment_id: str, spec_id: str | None) -> Done:
    """spec_id: of the spec in force for what was submitted; None for a deletion."""
    return Done(
        command_id=named.id or "",
        command_source=named.source or "",
        deployment_id=deployment_id,
        spec_id=spec_id,
    )


def rejected(named: Named, error: Refused) -> Rejection:
    """With the issues that REST gives. Of an answer that would be too long values are cut, then issues left
    out: what was sent can be as large as a command."""
    for issues in (error.issues, [_cut(issue) for issue in error.issues]):
        answer = _rejection(named, error.code, error.message, issues)
        if len(to_json(answer)) <= MAX_BYTES:
            return answer
    return _rejection(named, error.code, _shown(error.message))


def failed(named: Named, reason: str) -> Rejection:
    """The platform's fault, not the command's."""
    return _rejection(named, FAILED_CODE, reason)


def message(answer: Answered, *, project_id: str, at: datetime, traceparent: str | None) -> Message:
    """The same answer to the same command is the same event; but each message that asks is answered.

    at: when the answer became certain.
    """
    is_done = isinstance(answer, Done)
    of_type = DONE_TYPE if is_done else REJECTED_TYPE
    body = to_json(answer)
    headers = {
        "ce-specversion": "1.0",
        "ce-id": name_key(f"{of_type} {project_id}", body.decode()),
        "ce-source": "specstream/api",
        "ce-type": of_type,
        "ce-time": to_rfc3339(at),
        "content-type": "application/json",
    }
    causes = {"ce-causationid": answer.command_id, "ce-causationsource": answer.command_source}
    headers |= {
        name: said
        for name, said in causes.items()
        if said is not None and said.isascii() and said.isprintable()
    }
    if traceparent is not None:
        headers["traceparent"] = traceparent
    return Message((subjects.done if is_done else subjects.rejected)(project_id), headers, body, answer)


def to_wire(answer: Answered) -> dict[str, Any]:
    return answer.model_dump(mode="json", by_alias=True)


def from_wire(wire: Mapping[str, Any], *, is_done: bool) -> Answered:
    return (Done if is_done else Rejection).model_validate(wire)


def to_json(answer: Answered) -> bytes:
    return json.dumps(to_wire(answer), separators=(",", ":")).encode()


def _rejection(named: Named, code: str, text: str, issues: Iterable[Issue] = ()) -> Rejection:
    return Rejection(
        command_id=None if named.id is None else spelled_out(named.id),
        command_source=None if named.source is None else spelled_out(named.source),
        code=code,
        message=text,
        issues=[IssueAnswer.model_validate(issue.to_wire()) for issue in issues],
    )


def _cut(issue: Issue) -> Issue:
    path = tuple(_shown(part) if isinstance(part, str) else part for part in issue.path)
    return Issue(path, _shown(issue.message), _shown_value(issue.value), _shown_value(issue.allowed))


def _shown(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}… ({len(text)} characters)"


def _shown_value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _shown(value if isinstance(value, str) else json.dumps(value, default=str))
