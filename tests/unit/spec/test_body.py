"""Strict JSON: one meaning, or a refusal that says where."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import BadRequest, ParseFailed
from libs.common.spec.body import parse_json


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
        (b'"\\ud83d\\ude00"', "😀"),
        ('"😀\\u0000"'.encode(), "😀\0"),
        (b" 7 ", 7),
        (b"-0", 0),
        (b"1e5", 1e5),
    ],
)
def test_json_is_what_it_says(body, value):
    assert parse_json(body) == value


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        pytest.param(b"", (), "Expecting value", id="nothing"),
        pytest.param(b'{"a": 1', (), "line 1, column 8", id="an end that is missing"),
        pytest.param(b"{'a': 1}", (), "double quotes", id="single quotes"),
        pytest.param(b"{} {}", (), "Extra data", id="two values"),
        pytest.param(b'"a\nb"', (), "control character", id="a raw newline in a string"),
        pytest.param(b"\xff{}", (), "not UTF-8: byte 0", id="bytes that are no text"),
        pytest.param('{"a": 1}'.encode("utf-16"), (), "not UTF-8", id="another encoding"),
        pytest.param(b'"\xed\xa0\x80"', (), "not UTF-8: byte 1", id="a surrogate in bytes"),
        pytest.param(b'{"a": NaN}', ("a",), "NaN is not JSON", id="NaN"),
        pytest.param(b"[1, -Infinity]", (1,), "-Infinity is not JSON", id="Infinity"),
    ],
)
def test_what_is_not_json(body, path, message):
    with pytest.raises(ParseFailed) as refused:
        parse_json(body)
    assert (refused.value.code, refused.value.status) == ("PARSE_ERROR", 400)
    assert refused.value.issues[0].path == path
    assert message in refused.value.issues[0].message


@pytest.mark.parametrize(
    ("body", "paths", "message"),
    [
        pytest.param(b'{"a": 1, "a": 1}', [("a",)], "is given more than once", id="a repeated field"),
        pytest.param(
            b'[{"a": {"b": 1, "b": 2, "b": 3}}]',
            [(0, "a", "b")],
            "more than once",
            id="a repeated field deep",
        ),
        pytest.param(b'{"a": 1, "\\u0061": 2}', [("a",)], "more than once", id="a field spelled twice"),
        pytest.param(b'["\\ud800"]', [(0,)], "half a surrogate pair", id="half a pair"),
        pytest.param(b'["\\udc00\\ud800"]', [(0,)], "half a surrogate pair", id="a pair the wrong way round"),
        pytest.param(b'{"\\udfff": 1}', [("\\udfff",)], "half a surrogate pair", id="half a pair in a name"),
        pytest.param(b'{"a": 1e400}', [("a",)], "too large a number", id="a number beyond a double"),
        pytest.param(b"[" + b"9" * 101 + b"]", [(0,)], "too many digits", id="a number of 101 digits"),
        pytest.param(b"1" * 250_000, [()], "too many digits", id="a number that fills the body"),
        pytest.param(b"[" * 250_000, [()], "more than 32 levels", id="a body of brackets"),
        pytest.param(b"[" * 40 + b"]" * 40, [(0,) * 32], "more than 32 levels", id="40 levels"),
        pytest.param(b'{"a":' * 500 + b"1" + b"}" * 500, [("a",) * 32], "more than 32", id="500 levels"),
    ],
)
def test_json_that_is_refused(body, paths, message):
    with pytest.raises(BadRequest) as refused:
        parse_json(body)
    assert refused.value.code == "BAD_REQUEST"
    assert [issue.path for issue in refused.value.issues] == paths
    assert message in refused.value.issues[0].message
    json.dumps([issue.to_wire() for issue in refused.value.issues]).encode()


def test_every_fault_is_listed_up_to_a_hundred():
    with pytest.raises(BadRequest) as refused:
        parse_json(b"[" + b",".join([b'"\\ud800"'] * 500) + b"]")
    assert [issue.path for issue in refused.value.issues] == [(index,) for index in range(100)]


@given(body=st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(body):
    try:
        parse_json(body)
    except BadRequest as refused:
        assert refused.issues  # noqa: PT017 -- being refused is one of two right answers


_leaves = st.none() | st.booleans() | st.integers(-(10**90), 10**90) | st.text()
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(value=_values)
def test_what_json_writes_is_read_back(value):
    assert parse_json(json.dumps(value).encode()) == value
