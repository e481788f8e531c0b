"""What a client may write and what is stored have the same fields; no field is accepted that does nothing."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from libs.common.spec import model, schema
from libs.common.spec.unsupported import unsupported
from tests.support.specs import parse_spec
from tests.unit.spec.mistakes import VALID

OTHER_SPELLING = ("healthchecks",)

REFUSED = {
    ("container_registry",): {"containerRegistry": "r"},
    ("basic_auth_key",): {"basicAuthKey": "k"},
    ("integrations",): {"integrations": [{"type": "volume", "name": "v"}]},
}
"""By place: a spec that has the field, which is understood and not carried out yet."""


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := model_in(inner))), None)


def only_sent(
    sent: type[BaseModel], stored: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """The places of what a client may write and what is not stored."""
    for name, field in sent.model_fields.items():
        if name not in stored.model_fields:
            yield (*path, name)
            continue
        part, kept = model_in(field.annotation), model_in(stored.model_fields[name].annotation)
        assert (part is None) == (kept is None), (*path, name)
        if part is not None and kept is not None:
            yield from only_sent(part, kept, (*path, name))


def test_what_is_not_stored_is_refused_or_another_spelling():
    assert {*only_sent(schema.SpecV1, model.Spec)} == {*REFUSED, OTHER_SPELLING}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=[".".join(place) for place in REFUSED])
def test_it_is_refused(raw: dict[str, Any]):
    assert [issue.message for issue in unsupported(raw) if "not supported yet" in issue.message]


@pytest.mark.parametrize(
    "autoscaling",
    [
        {
            "maxReplicas": 5,
            "metrics": [{"metric": "cpu", "summary": "average", "value": 50}],
            "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
        },
        {"maxReplicas": 5, "concurrency": {"target": 8}},
    ],
    ids=["by metrics", "by concurrency"],
)
def test_what_is_stored_can_be_written(autoscaling: dict[str, Any]):
    whole = {
        **VALID,
        "resources": {**VALID["resources"], "autoscaling": autoscaling},
        "healthChecks": {
            "startup": {"exec": {"command": ["test", "-f", "ready"]}, "periodSeconds": 2},
            "readiness": {"path": "/"},
            "liveness": {"path": "/", "headers": [{"name": "A", "value": "b"}]},
        },
    }
    stored = parse_spec(whole).to_wire()
    assert parse_spec(stored).to_wire() == stored
