"""Whatever is sent, there is a spec or a refusal with issues that fit into an answer."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import BadRequest
from libs.common.spec.integrations import Input
from libs.common.spec.schema import spec_json_schema
from tests.support.specs import parse_spec
from tests.support.strategies import sent_specs

FIELDS = sorted({name for part in spec_json_schema()["$defs"].values() for name in part["properties"]})
_characters = st.characters(codec=None)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(_characters, max_size=9)
    | st.sampled_from(["v0alpha0", "secret:A", "s3", "model"])
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(_characters, max_size=5), inner, max_size=6)
    ),
    max_leaves=12,
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for step, value in inner for place in _places(value, (*path, step)))]


@st.composite
def broken_specs(draw: st.DrawFn) -> Any:
    """A valid spec with some places replaced, and some fields added anywhere."""
    spec: Any = {"spec": draw(sent_specs())}
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from(_places(spec)[1:]))
        node = spec
        for step in way:
            node = node[step]
        if isinstance(node, dict) and draw(st.booleans()):
            last = draw(st.sampled_from(FIELDS))
        node[last] = draw(_values)
        spec.setdefault("spec", None)
    return spec["spec"]


@given(raw=broken_specs() | _values)
def test_a_spec_or_a_refusal(raw):
    try:
        spec = parse_spec(raw)
    except BadRequest as refused:
        answer = json.dumps([issue.to_wire() for issue in refused.issues], allow_nan=False)
        answer.encode()
        refused.message.encode()
        assert 1 <= len(refused.issues) <= 100  # noqa: PT017 -- being refused is one of two right answers
    else:
        assert parse_spec(spec.to_wire()) == spec


def test_every_part_of_the_input_is_strict():
    def parts(model: type[Input]) -> list[type[Input]]:
        return [model, *(part for inner in model.__subclasses__() for part in parts(inner))]

    for part in parts(Input):
        assert part.model_config["strict"]
        assert part.model_config["extra"] == "forbid"
