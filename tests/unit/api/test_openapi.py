"""The OpenAPI document: what FastAPI does not know by itself."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from services.api.edge.boundary import OPEN_PATHS
from services.api.edge.rest import make_rest
from services.api.edge.routes.context import Api

DOCUMENT = make_rest(cast("Api", None), api_key="key").openapi()
OPERATIONS = [
    pytest.param(path, operation, id=f"{method} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def references(node: Any) -> Iterator[str]:
    match node:
        case dict():
            for name, inner in node.items():
                yield from [inner] if name == "$ref" else references(inner)
        case list():
            for inner in node:
                yield from references(inner)


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_every_operation_names_its_key_and_its_answers(path: str, operation: dict[str, Any]):
    assert operation.get("security", []) == ([] if path in OPEN_PATHS else [{"key": []}])
    assert "422" not in operation["responses"]
    for status, answer in operation["responses"].items():
        schemas = [content["schema"] for content in answer["content"].values()]
        assert schemas, f"{status} has no shape"
        if status != "200":
            assert schemas == [{"$ref": "#/components/schemas/ErrorAnswer"}]


def test_every_reference_leads_somewhere():
    schemas = DOCUMENT["components"]["schemas"]
    assert {reference.removeprefix("#/components/schemas/") for reference in references(DOCUMENT)} <= set(
        schemas
    )
    assert DOCUMENT["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
