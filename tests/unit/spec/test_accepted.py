"""What a spec may hold, its defaults, its versions, and what keeps a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.machine_types.reading import bundled
from libs.common.spec.model import ExecAction, HealthCheck, NameValue, Resources, Spec
from libs.common.spec.template import make_template, run_id
from tests.support.specs import parse_spec
from tests.support.strategies import names, sent_specs, specs
from tests.unit.spec.mistakes import READY, VALID, changed

LEAST = {"name": "demo", "image": "app", "resources": {"ports": [80], "machineType": "C4"}}


def test_the_least_spec_gets_every_default():
    assert parse_spec(LEAST) == Spec(
        api_version="v1",
        name="demo",
        image="app",
        enabled=True,
        command=None,
        env=(),
        resources=Resources(machine_type="C4", ports=(80,), replicas=1),
        health_checks=None,
    )


def test_a_health_check_gets_every_default():
    spec = parse_spec(changed("healthChecks", {"liveness": {"path": "/"}}))
    assert spec.health_checks is not None
    assert spec.health_checks.liveness == HealthCheck(
        path="/",
        port=8000,
        host=None,
        headers=(),
        initial_delay_seconds=0,
        period_seconds=10,
        timeout_seconds=1,
        failure_threshold=3,
    )


@pytest.mark.parametrize("version", ["v1", "v0alpha1", "latest", None])
def test_every_version_is_stored_as_v1(version):
    raw = changed("apiVersion", version) if version else VALID
    assert parse_spec(raw).api_version == "v1"
    assert parse_spec(raw) == parse_spec(VALID)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("name", "n", id="a name of one character"),
        pytest.param("name", "😀" * 200, id="200 characters of four bytes each"),
        pytest.param("name", "../ #?*.> $(PORT)", id="a name that would be dangerous as a path"),
        pytest.param("name", " ", id="a name that is a space"),
        pytest.param("command.0", "#!/bin/sh\n\techo hello\n", id="a script with tabs and newlines"),
        pytest.param("env.0.value", "", id="an empty value"),
        pytest.param("env.0.value", "a=b\n\t$(PORT) ☕", id="a value of any text"),
        pytest.param("env.0.value", "secrets: none", id="a value that only resembles a reference"),
        pytest.param("env.0.value", "x" * 100_000, id="a long value"),
        pytest.param("env.0.name", "my.var-1 ü", id="a variable's name of any text without ="),
        pytest.param("env.0.name", "PORT_HTTP", id="a name that only resembles ours"),
        pytest.param("env.0.name", "port", id="names of variables have a case"),
        pytest.param("env.0.name", "PATH", id="PATH may be set"),
        pytest.param("resources.replicas", 0, id="no replicas"),
        pytest.param("resources.replicas", 1000, id="1000 replicas"),
        pytest.param("resources.ports", [8000, *range(1, 100), 65535], id="many ports"),
        pytest.param(f"{READY}.path", "/ready?deep=1&x=%20", id="a path with a query"),
        pytest.param(f"{READY}.path", "/", id="the root"),
        pytest.param(f"{READY}.port", 9000, id="a check on a further port"),
        pytest.param(f"{READY}.host", "a-b.example.com", id="a host name"),
        pytest.param(f"{READY}.host", "10.0.0.1", id="an address as host"),
        pytest.param(f"{READY}.headers", [], id="no headers"),
        pytest.param(f"{READY}.headers.0.name", "x!#$%&'*+.^_`|~-1", id="any HTTP token"),
        pytest.param(f"{READY}.headers.0.value", "", id="an empty header"),
        pytest.param(f"{READY}.periodSeconds", 2**31 - 1, id="the longest period"),
        pytest.param(READY, {"exec": {"command": ["test", "-f", "$(HOME)/ready"]}}, id="a command"),
        pytest.param("integrations", [], id="no integrations"),
        *(pytest.param("resources.machineType", name, id=f"machine type {name}") for name in bundled()),
    ],
)
def test_accepted(path, value):
    parse_spec(changed(path, value))


def test_the_reference_machine_types_are_there_and_no_free_one():
    assert {"C4", "A4000", "P4000", "A100-80G"} <= bundled().keys()
    assert not any(name.startswith("Free") for name in bundled())


def test_names_are_compared_code_point_by_code_point():
    composed, decomposed = parse_spec(changed("name", "é")), parse_spec(changed("name", "e\u0301"))
    assert composed.name != decomposed.name
    assert parse_spec(changed("name", " a ")).name == " a "


def test_the_other_spelling_of_health_checks_means_the_same():
    other = {**VALID, "healthchecks": VALID["healthChecks"]}
    del other["healthChecks"]
    assert parse_spec(other) == parse_spec(VALID)


@pytest.mark.parametrize("empty", [{}, {"healthChecks": {}}, {"healthchecks": {}}, {"env": []}])
def test_nothing_written_in_full_is_nothing(empty):
    assert parse_spec({**LEAST, **empty}) == parse_spec(LEAST)


def test_the_oldest_version_is_converted():
    old = {
        "apiVersion": "v0alpha0",
        "name": "demo",
        "image": "app",
        "port": 8000,
        "env": [{"name": "A", "value": "1"}],
        "resources": {"instanceType": "P4000", "replicas": 3},
        "healthChecks": {"readiness": {"path": "/ready"}},
        "models": [],
    }
    spec = parse_spec(old)
    assert spec.api_version == "v1"
    assert spec.resources == Resources(machine_type="P4000", ports=(8000,), replicas=3)
    assert spec.env == (NameValue(name="A", value="1"),)
    assert spec.health_checks is not None
    assert spec.health_checks.readiness == HealthCheck(path="/ready", port=8000)


def test_the_oldest_version_serves_on_port_80_unless_it_says_otherwise():
    old = {"apiVersion": "v0alpha0", "name": "a", "image": "b", "resources": {"instanceType": "C4"}}
    spec = parse_spec({**old, "healthChecks": {"liveness": {"path": "/", "port": 80}}})
    assert spec.resources.ports == (80,)


@given(raw=sent_specs())
def test_what_is_shown_can_be_submitted_again_and_means_the_same(raw):
    spec = parse_spec(raw)
    assert parse_spec(spec.to_wire()) == spec
    assert Spec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


@given(spec=specs, name=names, replicas=st.integers(0, 1000), enabled=st.booleans())
def test_name_replicas_and_enabled_keep_the_run(spec, name, replicas, enabled):
    resources = spec.resources.model_copy(update={"replicas": replicas})
    other = spec.model_copy(update={"name": name, "enabled": enabled, "resources": resources})
    assert run_id(make_template(other)) == run_id(make_template(spec))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image", "other"),
        ("command", ["other"]),
        ("command", ["serve", ""]),
        ("env.0.value", "other"),
        ("env", []),
        ("resources.ports", [9000, 8000]),
        ("resources.machineType", "C5"),
        ("region", "eu-west-1"),
        (f"{READY}.path", "/other"),
        (READY, {"exec": {"command": ["true"]}}),
        (f"{READY}.periodSeconds", 11),
        (f"{READY}.headers.0.value", "2"),
        ("healthChecks", {}),
    ],
)
def test_what_makes_a_replica_makes_a_run(path, value):
    changed_spec = parse_spec(changed(path, value))
    assert run_id(make_template(changed_spec)) != run_id(make_template(parse_spec(VALID)))


def test_a_command_that_checks_has_no_port_and_no_headers():
    spec = parse_spec(changed(READY, {"exec": {"command": ["true", ""]}, "timeoutSeconds": 3}))
    assert spec.health_checks is not None
    command = ExecAction(command=("true", ""))
    assert spec.health_checks.readiness == HealthCheck(exec=command, timeout_seconds=3)
    assert spec.to_wire()["healthChecks"]["readiness"] == {
        "exec": {"command": ["true", ""]},
        "initialDelaySeconds": 0,
        "periodSeconds": 10,
        "timeoutSeconds": 3,
        "failureThreshold": 3,
    }


def test_a_run_id_never_changes():
    assert run_id(make_template(parse_spec(VALID))) == "7e17678dbcdb6aa76ec916151b8e2420"
