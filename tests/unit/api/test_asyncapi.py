"""The AsyncAPI document: FastStream's of what is declared, and what is added to it.

The rules are those of AsyncAPI 3.0.0 for the objects that the document has.
"""

from collections.abc import Iterator
from string import Formatter
from typing import Any

import pytest

from libs.common.bus import subjects
from libs.common.events.catalogue import CATALOGUE
from services.api.asyncapi import make_asyncapi
from services.api.edge.answers import Done, Rejection
from services.api.edge.bodies import DeleteCommandBody, SubmitCommandBody

COMMAND = {"ce-specversion", "ce-id", "ce-source", "ce-type", "traceparent"}
ANSWER = {"ce-specversion", "ce-id", "ce-source", "ce-type", "ce-causationid", "ce-causationsource"}
EVENT = COMMAND | ANSWER | {"ce-actor", "ce-correlationid", "ce-hash"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return make_asyncapi()


def nodes(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def found(document: dict[str, Any], ref: str) -> Any:
    node = document
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_reference_leads_somewhere(document):
    refs = [node["$ref"] for node in nodes(document) if isinstance(node, dict) and "$ref" in node]
    assert len(refs) > 100
    assert [ref for ref in refs if not found(document, ref)] == []


def test_it_is_asyncapi(document):
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert all({"host", "protocol"} <= server.keys() for server in document["servers"].values())
    for name, channel in document["channels"].items():
        # Of parameters, exactly those of the address; and a message is found by its channel.
        parameters = {each for _, each, _, _ in Formatter().parse(channel["address"]) if each}
        assert channel["parameters"].keys() == parameters
        [operation] = [
            o for o in document["operations"].values() if o["channel"]["$ref"].endswith(f"/{name}")
        ]
        assert operation["action"] in {"send", "receive"}
        assert [message["$ref"] for message in operation["messages"]] == [
            f"#/channels/{name}/messages/{key}" for key in channel["messages"]
        ]
    # A discriminator is the name of a field; in OpenAPI, which our models follow, it is an object.
    discriminators = [
        node["discriminator"]
        for node in nodes(document["components"]["schemas"])
        if isinstance(node, dict) and "discriminator" in node
    ]
    assert discriminators
    assert all(isinstance(one, str) for one in discriminators)


COMMANDS_AND_ANSWERS = {
    "submit": (
        "takeSubmit",
        "receive",
        "commands.{project_id}.deployment.submit",
        SubmitCommandBody,
        COMMAND,
    ),
    "delete": (
        "takeDelete",
        "receive",
        "commands.{project_id}.deployment.delete",
        DeleteCommandBody,
        COMMAND,
    ),
    "done": ("tellDone", "send", "commands.{project_id}.done", Done, ANSWER),
    "rejected": ("tellRejected", "send", "commands.{project_id}.rejected", Rejection, ANSWER),
}


@pytest.mark.parametrize("channel", COMMANDS_AND_ANSWERS)
def test_each_subject_of_a_command_or_an_answer_has_its_message(document, channel):
    operation, action, address, payload, headers = COMMANDS_AND_ANSWERS[channel]
    described = document["channels"][channel]
    assert described["address"] == address
    assert described["description"]
    assert document["operations"][operation]["action"] == action
    [reference] = described["messages"].values()
    message = found(document, reference["$ref"])
    assert message["payload"] == {"$ref": f"#/components/schemas/{payload.__name__}"}
    assert message["headers"]["properties"].keys() == headers
    assert set(message["headers"]["required"]) == {"ce-specversion", "ce-id", "ce-source", "ce-type"}
    schema = found(document, message["payload"]["$ref"])
    assert schema["properties"].keys() == payload.model_json_schema()["properties"].keys()
    assert message["summary"] == schema["description"].splitlines()[0]


def test_every_event_is_described_and_nothing_else(document):
    channel = document["channels"]["events"]
    assert channel["address"] == "events.{project_id}.{kind}.{id}.{type}"
    assert list(channel["messages"]) == list(CATALOGUE)
    for name, reference in channel["messages"].items():
        message = found(document, reference["$ref"])
        assert message["payload"] == {"$ref": f"#/components/schemas/{name}"}
        assert message["headers"]["properties"].keys() == EVENT
        assert message["headers"]["properties"]["ce-type"] == {"const": name}
    assert document["channels"].keys() == {"submit", "delete", "done", "rejected", "events"}
    assert document["components"]["messages"].keys() == {*document["channels"], *CATALOGUE} - {"events"}


def test_the_stream_takes_what_is_described_and_nothing_else(document):
    described = {
        "".join(text + ("*" if name else "") for text, name, _, _ in Formatter().parse(channel["address"]))
        for name, channel in document["channels"].items()
        if name != "events"
    }
    assert described == {subjects.SUBMIT, subjects.DELETE, *subjects.ANSWERS}


def test_a_spec_is_described_as_clients_write_it_and_as_it_is_stored(document):
    schemas = document["components"]["schemas"]
    shapes = schemas["SubmitCommandBody"]["properties"]["config"]["anyOf"]
    assert [shape["$ref"].rsplit("/", 1)[1] for shape in shapes] == [
        "SubmittedSpecV1",
        "SubmittedSpecV0Alpha0",
    ]
    assert schemas["SpecRegistered"]["properties"]["spec"] != {"anyOf": shapes}
