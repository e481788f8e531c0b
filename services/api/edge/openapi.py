"""The OpenAPI document: what FastAPI generates, with our one error shape, the key, and the spec's schema."""

from typing import Any

from fastapi import FastAPI

from services.api.edge.bodies import SPEC_SCHEMAS
from services.api.edge.boundary import OPEN_PATHS
from services.api.edge.schemas.base import ErrorAnswer

_ERROR = {
    "description": "Refused, or not possible now. `issues` names each mistake.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
}


def make_openapi(app: FastAPI) -> dict[str, Any]:
    """Made once, when it is first asked for."""
    if app.openapi_schema is None:
        app.openapi_schema = _amended(FastAPI.openapi(app))
    return app.openapi_schema


def _amended(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(SPEC_SCHEMAS["$defs"])
    errors = ErrorAnswer.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(errors.pop("$defs"))
    schemas["ErrorAnswer"] = errors
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ERROR
            if path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    return document
