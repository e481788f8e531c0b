"""What other systems send and hear over the broker, as an AsyncAPI document.

`make docs` writes it to `docs/reference/asyncapi.yaml`.
"""

import sys
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from libs.common.bus import subjects
from libs.common.events.catalogue import CATALOGUE
from libs.common.spec.schema import spec_json_schema
from services.api.edge.answers import DONE_TYPE, REJECTED_TYPE
from services.api.edge.bodies import DeleteCommandBody, SubmitCommandBody
from services.api.edge.schemas.base import Answer, IssueAnswer

REF = "#/components/schemas/{model}"
SUBMITTED = "#/components/schemas/Submitted{model}"

_CLOUD_EVENT = (
    "CloudEvents 1.0 over NATS: attributes as `ce-` headers (binary), or one JSON object (structured)."
)


KNOWN_BY = (
    "A command, known by its source and id. It is answered once it is carried out or refused. The same "
    "source and id again, within 30 days, have no second effect and get the first answer again."
)


class Done(Answer):
    """A command is carried out, or found everything as it asks. commandId, commandSource: of the command.
    specId: of the spec in force for what was submitted; null for a deletion."""

    command_id: str
    command_source: str
    deployment_id: str
    spec_id: str | None


class Rejection(Answer):
    """Why a command was refused, with the issues that REST would give. commandId, commandSource: of the
    command; null if it had none."""

    command_id: str | None
    command_source: str | None
    code: str
    message: str
    issues: list[IssueAnswer]


def make_asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0: the commands that the api takes, its rejections, and every event."""
    schemas = _schemas()
    messages = {
        "submit": _message("Create or update a deployment", "SubmitCommandBody", _command_headers("submit")),
        "delete": _message("Delete a deployment", "DeleteCommandBody", _command_headers("delete")),
        "done": _message("A command is carried out", "Done", _answer_headers(DONE_TYPE)),
        "rejected": _message("A command was refused", "Rejection", _answer_headers(REJECTED_TYPE)),
        **{name: _message(_summary(fact), name, _event_headers(name)) for name, fact in CATALOGUE.items()},
    }
    channels = {
        "submit": _channel(
            "commands.{project_id}.deployment.submit",
            ["submit"],
            KNOWN_BY,
        ),
        "delete": _channel(
            "commands.{project_id}.deployment.delete",
            ["delete"],
            KNOWN_BY,
        ),
        "done": _channel("commands.{project_id}.done", ["done"], "Commands that are carried out."),
        "rejected": _channel("commands.{project_id}.rejected", ["rejected"], "Refused commands."),
        "events": _channel(
            "events.{project_id}.{kind}.{id}.{type}",
            list(CATALOGUE),
            "Every fact, kept for ever. The last token of a fact that is one page of something larger is "
            "its type, a dash and its page.",
        ),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Specstream",
            "version": "1",
            "description": (
                f"{_CLOUD_EVENT} Commands go to the stream {subjects.COMMANDS_STREAM}, events are read from "
                f"{subjects.EVENTS_STREAM}. A command's id is the `ce-causationid` of each event that it "
                "leads to, its source the `ce-causationsource`. Commands take effect in the order in which "
                "the stream has them."
            ),
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": {
            "takeSubmit": _operation("receive", "submit", ["submit"]),
            "takeDelete": _operation("receive", "delete", ["delete"]),
            "tellDone": _operation("send", "done", ["done"]),
            "tellRejected": _operation("send", "rejected", ["rejected"]),
            "tellEvents": _operation("send", "events", list(CATALOGUE)),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [
        SubmitCommandBody,
        DeleteCommandBody,
        Done,
        Rejection,
        *CATALOGUE.values(),
    ]
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    schemas: dict[str, Any] = definitions["$defs"]
    # What clients write and what is stored share some names.
    spec = spec_json_schema(SUBMITTED)
    schemas.update({f"Submitted{name}": schema for name, schema in spec["$defs"].items()})
    schemas["SubmitCommandBody"]["properties"]["config"] = {"anyOf": spec["anyOf"]}
    return schemas


def _message(summary: str, schema: str, headers: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "headers": headers, "payload": {"$ref": REF.format(model=schema)}}


def _headers(*, ce_type: str | None = None, **more: str) -> dict[str, Any]:
    attributes = {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {"type": "string"},
        "ce-source": {"type": "string"},
        "ce-type": {"const": ce_type} if ce_type else {"type": "string"},
        **{name: {"type": "string", "description": text} for name, text in more.items()},
    }
    required = ["ce-specversion", "ce-id", "ce-source", "ce-type"]
    return {"type": "object", "required": required, "properties": attributes}


def _command_headers(verb: str) -> dict[str, Any]:
    headers = _headers(traceparent="W3C trace context that the resulting events belong to.")
    headers["properties"]["ce-type"]["description"] = (
        f"The publisher's own, or `specstream.deployment.{verb}`; another one that begins with `specstream.` "
        "contradicts the subject and is refused."
    )
    return headers


def _answer_headers(ce_type: str) -> dict[str, Any]:
    return _headers(
        ce_type=ce_type,
        **{
            "ce-causationid": "The id of the command, where it is printable ASCII.",
            "ce-causationsource": "The source of the command, likewise.",
        },
    )


def _event_headers(event_type: str) -> dict[str, Any]:
    return _headers(
        ce_type=event_type,
        **{
            "ce-actor": "Who is answerable, as authenticated.",
            "ce-correlationid": "The request or command at the start of the chain.",
            "ce-causationid": "The event or command that led to it directly.",
            "ce-causationsource": "Of a command that led to it directly: the source that it claims.",
            "ce-hash": "Its link in the hash chain of its aggregate.",
            "traceparent": "W3C trace context of the change.",
        },
    )


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or model.__name__).strip().splitlines()[0]


def _channel(address: str, messages: list[str], description: str) -> dict[str, Any]:
    names = [part[1:-1] for part in address.split(".") if part.startswith("{")]
    return {
        "address": address,
        "description": description,
        "parameters": {name: {} for name in names},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operation(action: str, channel: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def render() -> str:
    return yaml.safe_dump(make_asyncapi(), sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    sys.stdout.write(render())
