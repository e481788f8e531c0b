"""CloudEvents over NATS: binary, structured, and what is neither."""

import json

import pytest

from services.api.edge.cloudevents import CloudEvent, Malformed, Named, named_in_headers, parse_cloud_event

ENVELOPE = {"specversion": "1.0", "id": "c1", "source": "/ci", "type": "submit", "data": {"a": 1}}
BINARY = {"ce-specversion": "1.0", "ce-id": "c1", "ce-source": "/ci", "ce-type": "submit"}
EXPECTED = CloudEvent("c1", "/ci", "submit", {"a": 1})


def body(**changes) -> bytes:
    return json.dumps({k: v for k, v in {**ENVELOPE, **changes}.items() if v is not None}).encode()


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        pytest.param(BINARY, b'{"a":1}', id="binary"),
        pytest.param({k.title(): v for k, v in BINARY.items()}, b'{"a":1}', id="binary, other case"),
        pytest.param({**BINARY, "content-type": "application/json"}, b'{"a":1}', id="binary with a type"),
        pytest.param({"content-type": "application/cloudevents+json"}, body(), id="structured"),
        pytest.param(
            {"Content-Type": "application/cloudevents+json; charset=utf-8"}, body(), id="with parameters"
        ),
        pytest.param({}, body(), id="structured, unsaid"),
        pytest.param({}, body(data=None, data_base64="eyJhIjoxfQ=="), id="structured, data as bytes"),
        pytest.param({**BINARY, "ce-source": "%2Fci"}, b'{"a":1}', id="percent-encoded header"),
    ],
)
def test_a_cloud_event_is_read(headers, content):
    assert parse_cloud_event(headers, content) == EXPECTED


@pytest.mark.parametrize(
    ("headers", "content", "path", "event_id"),
    [
        pytest.param({}, b"", (), None, id="nothing"),
        pytest.param({}, b"[]", (), None, id="no object"),
        pytest.param({}, body(id=None), ("id",), None, id="no id"),
        pytest.param({}, body(id=""), ("id",), "", id="an empty id"),
        pytest.param({}, body(id="a\r\nce-actor: root"), ("id",), "a\r\nce-actor: root", id="two lines"),
        pytest.param({}, body(id=" c1"), ("id",), " c1", id="an id that a header would change"),
        pytest.param({}, body(id="x" * 257), ("id",), "x" * 256, id="too long an id"),
        pytest.param({}, body(source=None), ("source",), "c1", id="no source"),
        pytest.param({}, body(type=None), ("type",), "c1", id="no type"),
        pytest.param({}, body(specversion="0.3"), ("specversion",), "c1", id="another version"),
        pytest.param(BINARY, b"{", (), "c1", id="data that is not JSON"),
        pytest.param({}, body(data_base64="e30="), ("data_base64",), "c1", id="data twice"),
        pytest.param({}, body(data=None, data_base64="{}"), ("data_base64",), "c1", id="no base64"),
        pytest.param({}, body(data=None, data_base64=5), ("data_base64",), "c1", id="base64 that is no text"),
        pytest.param({}, body(data=None, data_base64="ew=="), (), "c1", id="base64 of no JSON"),
        pytest.param(BINARY, b'{"a":1,"a":2}', ("a",), "c1", id="data with a field twice"),
    ],
)
def test_what_is_none_is_refused_with_the_id_if_there_is_one(headers, content, path, event_id):
    with pytest.raises(Malformed) as refused:
        parse_cloud_event(headers, content)
    assert refused.value.issues[0].path == path
    assert refused.value.event_id == event_id


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        pytest.param(
            {k.title(): v for k, v in BINARY.items()}, Named("c1", "/ci", is_known=True), id="binary"
        ),
        pytest.param({**BINARY, "ce-source": ""}, Named("c1", ""), id="an empty source"),
        pytest.param({**BINARY, "ce-id": "\udcff"}, Named("\udcff", "/ci"), id="an id that is no UTF-8"),
        pytest.param({**BINARY, "ce-id": "x" * 300}, Named("x" * 256, "/ci"), id="too long an id"),
        pytest.param(
            {"content-type": "application/cloudevents+json", "ce-id": "x"}, Named(), id="structured"
        ),
        pytest.param({}, Named(), id="no headers"),
    ],
)
def test_who_a_binary_event_is_is_known_without_its_body(headers, named):
    assert named_in_headers(headers) == named


def test_what_is_recognised_may_be_refused_for_its_data():
    with pytest.raises(Malformed) as refused:
        parse_cloud_event(BINARY, b"{")
    assert refused.value.named == Named("c1", "/ci", is_known=True)
