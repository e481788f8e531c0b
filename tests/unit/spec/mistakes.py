"""A valid spec, ways to break it, and what is said then."""

import json
from copy import deepcopy
from typing import Any

import pytest

from libs.common.errors import BadRequest, Issue
from tests.support.specs import parse_spec

VALID: dict[str, Any] = {
    "name": "demo",
    "image": "example/app:1.0",
    "command": ["serve"],
    "env": [{"name": "MODE", "value": "prod"}],
    "resources": {"ports": [8000, 9000], "machineType": "C4", "replicas": 2},
    "healthChecks": {"readiness": {"path": "/ready", "headers": [{"name": "X-A", "value": "1"}]}},
}
REMOVED = object()


def changed(path: str, value: Any, base: dict[str, Any] = VALID) -> dict[str, Any]:
    """The spec with one place changed; `path` is dotted, and a missing object on the way is made."""
    spec = deepcopy(base)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    node: Any = spec
    for step in way:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    if value is REMOVED:
        del node[last]
    else:
        node[last] = value
    return spec


def issues(raw: object) -> list[Issue]:
    with pytest.raises(BadRequest) as refused:
        parse_spec(raw)
    json.dumps([issue.to_wire() for issue in refused.value.issues], allow_nan=False).encode()
    assert [issue for issue in refused.value.issues if not issue.allowed] == [], (
        "says not what would be right"
    )
    return list(refused.value.issues)


def dotted(issue: Issue) -> str:
    return ".".join(str(step) for step in issue.path)


READY = "healthChecks.readiness"
