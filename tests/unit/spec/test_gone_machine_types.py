"""A machine type that is gone, or never was: a deployment can still be switched off."""

import pytest

from libs.common.errors import Issue
from tests.support.specs import parse_spec
from tests.unit.spec.mistakes import VALID, changed, dotted, issues

GONE = changed("resources.machineType", "gone")
OLD = {
    "apiVersion": "v0alpha0",
    "name": "demo",
    "image": "app",
    "resources": {"instanceType": "gone", "replicas": 0},
}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(changed("enabled", False, GONE), id="disabled"),
        pytest.param(changed("resources.replicas", 0, GONE), id="no replicas"),
        pytest.param(OLD, id="of the oldest version"),
    ],
)
def test_what_is_to_run_nowhere_may_name_it(raw):
    assert parse_spec(raw).resources.machine_type == "gone"


@pytest.mark.parametrize(
    "raw", [GONE, changed("enabled", True, GONE), changed("resources.replicas", 1, GONE)]
)
def test_what_is_to_run_may_not(raw):
    (issue,) = issues(raw)
    (never,) = issues(changed("resources.machineType", "H1"))
    path = ("resources", "machineType")
    assert issue == Issue(path, "is not a machine type", "gone", never.allowed)


@pytest.mark.parametrize(
    ("path", "value"), [("enabled", "false"), ("enabled", 0), ("resources.replicas", False)]
)
def test_what_does_not_clearly_stop_it_is_told_with_it(path, value):
    assert [dotted(issue) for issue in issues(changed(path, value, GONE))] in (
        [path, "resources.machineType"],
        ["resources.machineType", path],
    )


@pytest.mark.parametrize("name", ["", "a b", "C4\n", "x" * 64, "\ud800", 4])
def test_what_no_machine_type_can_be_called_is_refused_all_the_same(name):
    stopped = changed("enabled", False, VALID)
    (issue,) = issues(changed("resources.machineType", name, stopped))
    assert dotted(issue) == "resources.machineType"
