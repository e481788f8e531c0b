"""A diff: leaves only, dotted paths, both sides with their defaults."""

import pytest
from hypothesis import given

from libs.common.spec.diff import diff
from tests.support.specs import parse_spec
from tests.support.strategies import specs
from tests.unit.spec.mistakes import READY, REMOVED, VALID, changed


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param("resources.replicas", 3, [("resources.replicas", 2, 3)], id="one leaf"),
        pytest.param(
            "resources.replicas", REMOVED, [("resources.replicas", 2, 1)], id="a default, filled in"
        ),
        pytest.param("enabled", True, [], id="a default written out is no change"),
        pytest.param("apiVersion", "latest", [], id="an alias of the version is no change"),
        pytest.param("env.0.value", "dev", [("env.0.value", "prod", "dev")], id="inside a list"),
        pytest.param(
            "env", REMOVED, [("env.0.name", "MODE", None), ("env.0.value", "prod", None)], id="a list is gone"
        ),
        pytest.param("command", REMOVED, [("command.0", "serve", None)], id="a field is gone"),
        pytest.param(
            "resources.ports",
            [9000, 8000],
            [
                ("healthChecks.readiness.port", 8000, 9000),
                ("resources.ports.0", 8000, 9000),
                ("resources.ports.1", 9000, 8000),
            ],
            id="the order of a list counts, and a check follows the endpoint",
        ),
        pytest.param(f"{READY}.port", 8000, [], id="the endpoint's port written out is no change"),
        pytest.param(
            "healthChecks.liveness",
            {"path": "/live"},
            [
                ("healthChecks.liveness.failureThreshold", None, 3),
                ("healthChecks.liveness.initialDelaySeconds", None, 0),
                ("healthChecks.liveness.path", None, "/live"),
                ("healthChecks.liveness.periodSeconds", None, 10),
                ("healthChecks.liveness.port", None, 8000),
                ("healthChecks.liveness.timeoutSeconds", None, 1),
            ],
            id="a new object comes with its defaults",
        ),
    ],
)
def test_diff(path, value, expected):
    found = diff(parse_spec(VALID), parse_spec(changed(path, value)))
    assert [(change["path"], change["from"], change["to"]) for change in found] == expected


@given(one=specs, other=specs)
def test_a_diff_is_empty_exactly_when_nothing_differs_and_turns_round(one, other):
    assert diff(one, one) == []
    assert (diff(one, other) == []) == (one == other)
    assert diff(other, one) == [
        {"path": change["path"], "from": change["to"], "to": change["from"]} for change in diff(one, other)
    ]


def test_the_eleventh_element_comes_after_the_second():
    before = parse_spec(changed("command", [str(number) for number in range(12)]))
    paths = [change["path"] for change in diff(parse_spec(changed("command", REMOVED)), before)]
    assert paths == [f"command.{number}" for number in range(12)]
