"""What other systems send and hear over the broker, as an AsyncAPI document.

The commands and the answers to them are described by FastStream, from what `handlers.py` declares. Added to
it is what FastStream cannot know:

- A durable has both commands, so that they take effect in their order; each has a subject of its own.
- The events. The log appends and republishes them, and no publisher of FastStream.
- What a spec is. A handler takes any, and refuses it with every mistake in it.
- The headers, which FastStream does not describe.

`make docs` writes it to `docs/reference/asyncapi.yaml`.
"""

from string import Formatter
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

from libs.common.bus import subjects
from libs.common.bus.asyncapi import as_schemas, described
from libs.common.events.catalogue import CATALOGUE
from libs.common.events.envelope import select
from libs.common.spec.schema import spec_json_schema
from services.api.edge.answers import DONE_TYPE, REJECTED_TYPE
from services.api.edge.bodies import DeleteCommandBody, SubmitCommandBody
from services.api.handlers import declare

Json = dict[str, Any]

REF = "#/components/schemas/{model}"
SUBMITTED = "#/components/schemas/Submitted{model}"

BODIES = {"submit": SubmitCommandBody, "delete": DeleteCommandBody}
"""What the command of each subject holds."""

_DESCRIPTION = (
    "CloudEvents 1.0 over NATS: attributes as `ce-` headers (binary), or one JSON object (structured). "
    f"Commands go to the stream {subjects.COMMANDS_STREAM}, events are read from {subjects.EVENTS_STREAM}. "
    "A command's id is the `ce-causationid` of each event that it leads to, its source the "
    "`ce-causationsource`. Commands take effect in the order in which the stream has them."
)

_SERVER = (
    "The broker of a platform; at which port is in `run/ports.json` of its home. Other systems are its user "
    "`commands`, whose nkey the home holds."
)

_EVENTS = (
    "Every fact, kept for ever. The last token of a fact that is one page of something larger is its type, a "
    "dash and its page."
)


def make_asyncapi() -> Json:
    """AsyncAPI 3.0: the commands that the api takes, its answers, and every event."""
    declared = described(declare, title="Specstream", version="1", description=_DESCRIPTION, server=_SERVER)
    schemas = {**declared["components"].pop("schemas"), **_schemas_of_events()}
    _say_what_a_spec_is(schemas)
    schemas = dict(sorted(schemas.items()))
    document = {**declared, "channels": {}, "operations": {}}
    document["components"] = components = {**declared["components"], "messages": {}, "schemas": schemas}

    def add(name: str, action: str, address: str, description: str, messages: dict[str, Json]) -> None:
        """messages: the headers of each, by its schema."""
        keys = [name if len(messages) == 1 else schema for schema in messages]
        for key, (schema, headers) in zip(keys, messages.items(), strict=True):
            payload = {"$ref": REF.format(model=schema)}
            summary = schemas[schema].get("description", schema).splitlines()[0]
            components["messages"][key] = {"summary": summary, "headers": headers, "payload": payload}
        document["channels"][name] = {
            "address": address,
            "description": description,
            "parameters": {each: {} for _, each, _, _ in Formatter().parse(address) if each},
            "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in keys},
        }
        document["operations"][f"{'take' if action == 'receive' else 'tell'}{name.title()}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{key}"} for key in keys],
        }

    # FastStream keeps what is declared in no order.
    for name, channel in sorted(declared["channels"].items()):
        action, payloads = declared["operations"][name]["action"], _payloads(declared, channel)
        address, description = channel["address"], channel["description"]
        if name == "commands":
            if sorted(payloads) != sorted(body.__name__ for body in BODIES.values()):
                raise ValueError(f"{payloads} are handled, and {list(BODIES)} described")
            for verb, body in BODIES.items():
                headers = _command_headers(verb)
                add(verb, action, address.replace("{verb}", verb), description, {body.__name__: headers})
        else:
            headers = _answer_headers({"done": DONE_TYPE, "rejected": REJECTED_TYPE}[name])
            add(name, action, address, description, dict.fromkeys(payloads, headers))
    address = select(project_id="{project_id}", kind="{kind}", aggregate_id="{id}", event_type="{type}")
    add("events", "send", address, _EVENTS, {name: _event_headers(name) for name in CATALOGUE})
    return document


def _payloads(declared: Json, channel: Json) -> list[str]:
    """The names of the schemas of a channel's one message."""
    [message] = channel["messages"].values()
    payload = declared["components"]["messages"][message["$ref"].rsplit("/", 1)[1]]["payload"]
    return [option["$ref"].rsplit("/", 1)[1] for option in payload.get("oneOf", [payload])]


def _schemas_of_events() -> Json:
    _, schemas = models_json_schema([(fact, "validation") for fact in CATALOGUE.values()])
    return as_schemas(schemas["$defs"])


def _say_what_a_spec_is(schemas: Json) -> None:
    """What clients write and what is stored share some names."""
    spec = as_schemas(spec_json_schema(SUBMITTED))
    schemas.update({f"Submitted{name}": schema for name, schema in spec["$defs"].items()})
    schemas[SubmitCommandBody.__name__]["properties"]["config"] = {"anyOf": spec["anyOf"]}


def _headers(*, ce_type: str | None = None, **more: str) -> Json:
    attributes = {
        "ce-specversion": {"const": "1.0"},
        "ce-id": {"type": "string"},
        "ce-source": {"type": "string"},
        "ce-type": {"const": ce_type} if ce_type else {"type": "string"},
        **{name: {"type": "string", "description": text} for name, text in more.items()},
    }
    required = ["ce-specversion", "ce-id", "ce-source", "ce-type"]
    return {"type": "object", "required": required, "properties": attributes}


def _command_headers(verb: str) -> Json:
    headers = _headers(traceparent="W3C trace context that the resulting events belong to.")
    headers["properties"]["ce-type"]["description"] = (
        f"The publisher's own, or `specstream.deployment.{verb}`; another one that begins with `specstream.` "
        "contradicts the subject and is refused."
    )
    return headers


def _answer_headers(ce_type: str) -> Json:
    return _headers(
        ce_type=ce_type,
        **{
            "ce-causationid": "The id of the command, where it is printable ASCII.",
            "ce-causationsource": "The source of the command, likewise.",
        },
    )


def _event_headers(event_type: str) -> Json:
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


def render() -> str:
    return yaml.safe_dump(make_asyncapi(), sort_keys=False, allow_unicode=True, width=110)
