"""The bodies that clients send: read strictly, all mistakes at once. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from libs.common.errors import BadRequest, Issue
from libs.common.events.deployment import GitHeaders
from libs.common.spec.body import parse_json
from libs.common.spec.integrations import Input
from libs.common.spec.issues import issues_of
from libs.common.spec.model import Autoscaling, Spec
from libs.common.spec.parse import parse_spec, refused
from libs.common.spec.schema import spec_json_schema
from libs.common.spec.text import Name

B = TypeVar("B", bound=Input)

MAX_GIT_HEADER = 1000
GIT_HOSTS = ("github", "gitlab")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")


class SubmitBody(Input):
    config: Any
    project_id: str = Field(max_length=200, description="`default` is always there.")
    deployment_id: str | None = Field(default=None, max_length=200)


class SubmitCommandBody(Input):
    """Create or update a deployment."""

    config: Any
    deployment_id: str | None = Field(default=None, max_length=200)


class DeleteCommandBody(Input):
    """Delete a deployment."""

    deployment_id: str = Field(max_length=200)


class RollbackBody(Input):
    spec_id: str = Field(max_length=200)


class WhatIfBody(Input):
    """from, to: RFC 3339 times; now without `to`."""

    autoscaling: Any
    from_: str = Field(alias="from", max_length=100)
    to: str | None = Field(default=None, max_length=100)


class ProjectBody(Input):
    name: Name


@dataclass(frozen=True, slots=True)
class Submission:
    spec: Spec
    project_id: str
    """Empty for a command, whose subject names it."""
    deployment_id: str | None


def parse_submit(body: bytes, machine_types: Collection[str]) -> Submission:
    """Raises ParseFailed, or BadRequest with an issue for every mistake, in the spec and around it."""
    parsed, spec = _with_spec(SubmitBody, parse_json(body), machine_types)
    return Submission(spec, parsed.project_id, parsed.deployment_id)


def parse_submit_command(data: object, machine_types: Collection[str]) -> Submission:
    """As `parse_submit`."""
    parsed, spec = _with_spec(SubmitCommandBody, data, machine_types)
    return Submission(spec, "", parsed.deployment_id)


def parse_delete_command(data: object) -> DeleteCommandBody:
    return _parsed(DeleteCommandBody, data)


def parse_rollback(body: bytes) -> RollbackBody:
    return _parsed(RollbackBody, parse_json(body))


def parse_what_if(body: bytes) -> WhatIfBody:
    return _parsed(WhatIfBody, parse_json(body))


def parse_policy(raw: object, spec: Mapping[str, Any], machine_types: Collection[str]) -> Autoscaling:
    """The `autoscaling` of a spec. spec: the one that it is tried in.

    Raises BadRequest with the issues that submitting the spec with it would give.
    """
    resources = {**spec["resources"], "autoscaling": raw}
    try:
        parsed = parse_spec({**spec, "resources": resources}, machine_types)
    except BadRequest as error:
        issues = [replace(issue, path=issue.path[1:]) for issue in error.issues]
        raise refused(issues, "the body") from error
    if parsed.resources.autoscaling is None:
        raise refused([Issue(("autoscaling",), "is required")], "the body")
    return parsed.resources.autoscaling


def parse_project(body: bytes, project_id: str | None = None) -> ProjectBody:
    """project_id: of the address. Releases of a reference client send it once more in the body, as `id`."""
    raw = parse_json(body)
    if project_id is not None and isinstance(raw, dict) and raw.get("id") == project_id:
        raw = {name: value for name, value in raw.items() if name != "id"}
    return _parsed(ProjectBody, raw)


def git_headers(headers: Mapping[str, str]) -> GitHeaders | None:
    """What the `x-git-*` headers tell, cut to a bearable length; None when there are none.

    Raises BadRequest for a host that is not one of `GIT_HOSTS`.
    """
    if not any(name.startswith("x-git-") for name in headers):
        return None
    found = {}
    for field in GitHeaders.model_fields:
        value = _decoded(headers.get(f"x-git-{field}", ""))[:MAX_GIT_HEADER]
        if _PRINTABLE.fullmatch(value):
            found[field] = value
    host = found.get("host")
    if host is not None and host not in GIT_HOSTS:
        issue = Issue(("x-git-host",), "is not a known host", host[:100], list(GIT_HOSTS))
        raise BadRequest("x-git-host: is not a known host", [issue])
    return GitHeaders(**found) if found else None


def _decoded(header: str) -> str:
    """Header bytes arrive as Latin-1; a name in UTF-8 is put right."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _parsed(shape: type[B], raw: object) -> B:
    try:
        return shape.model_validate(raw)
    except ValidationError as error:
        raise refused(list(issues_of(shape, error)), "the body") from error


def _with_spec(
    shape: type[SubmitBody] | type[SubmitCommandBody], raw: object, machine_types: Collection[str]
) -> tuple[Any, Spec]:
    issues: list[Issue] = []
    parsed = spec = None
    try:
        parsed = shape.model_validate(raw)
    except ValidationError as error:
        issues += issues_of(shape, error)
    if isinstance(raw, dict) and "config" in raw:
        try:
            spec = parse_spec(raw["config"], machine_types)
        except BadRequest as error:
            issues += (issue.under("config") for issue in error.issues)
    if issues or spec is None:
        raise refused(issues, "the body")
    return parsed, spec


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


SPEC_SCHEMAS: dict[str, Any] = spec_json_schema("#/components/schemas/{model}")
"""`anyOf` for the spec, its parts under `$defs`: `openapi.py` puts those among the components."""

SUBMIT_BODY = _body(
    {
        "type": "object",
        "required": ["config", "projectId"],
        "additionalProperties": False,
        "properties": {
            "config": {"anyOf": SPEC_SCHEMAS["anyOf"]},
            "projectId": {"type": "string"},
            "deploymentId": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    }
)
ROLLBACK_BODY = _body(RollbackBody.model_json_schema())
WHAT_IF_BODY = _body(
    {
        "title": "WhatIfBody",
        "type": "object",
        "required": ["autoscaling", "from"],
        "additionalProperties": False,
        "properties": {
            "autoscaling": {"$ref": "#/components/schemas/Autoscaling"},
            "from": {"type": "string", "format": "date-time"},
            "to": {"type": "string", "format": "date-time"},
        },
    }
)
PROJECT_BODY = _body(ProjectBody.model_json_schema())
