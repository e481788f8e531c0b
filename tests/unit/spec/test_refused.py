"""Every constraint of a spec: what breaks it is told with path, value and what is allowed (promise 6)."""

import pytest

from libs.common.errors import BadRequest
from libs.common.machine_types.reading import bundled
from tests.support.specs import parse_spec
from tests.unit.spec.mistakes import READY, REMOVED, changed, dotted, issues

NO_CONTROL = "text without NUL or control characters"
WHOLE = "must be a whole number"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param("name", REMOVED, "is required", id="a spec has a name"),
        pytest.param("name", "", "must not be empty", id="a name is not empty"),
        pytest.param("name", "n" * 201, "must have at most 200 characters", id="a name ends at 200"),
        pytest.param("name", "a\nb", f"must be {NO_CONTROL}", id="a name is one line"),
        pytest.param("name", "a\tb", f"must be {NO_CONTROL}", id="a name holds no tab"),
        pytest.param("name", "a\x00", f"must be {NO_CONTROL}", id="a name holds no NUL"),
        pytest.param("name", "a\x7f", f"must be {NO_CONTROL}", id="a name holds no DEL"),
        pytest.param("name", "a\x85", f"must be {NO_CONTROL}", id="a name holds no C1 control"),
        pytest.param("name", "\ud800", "holds half a surrogate pair, which is no character", id="surrogate"),
        pytest.param("name", 7, "must be a string", id="a name is a string"),
        pytest.param("image", REMOVED, "is required", id="a spec has an image"),
        pytest.param("image", "", "must be an image reference", id="an image is not empty"),
        pytest.param("image", "a b", "must be an image reference", id="an image holds no whitespace"),
        pytest.param("image", None, "must not be null", id="null is no image"),
        pytest.param("enabled", "yes", "must be true or false", id="enabled is a boolean"),
        pytest.param("enabled", 1, "must be true or false", id="1 is no boolean"),
        pytest.param("enabled", None, "must not be null", id="null is not the default"),
        pytest.param("command", [], "must not be empty", id="a command names a program"),
        pytest.param("command", "serve", "must be a list", id="a command is a list"),
        pytest.param("command.0", "", "must not be empty", id="a program has a name"),
        pytest.param("command.0", 1, "must be a string", id="an argument is a string"),
        pytest.param("command.0", "a\x00b", "must be text without NUL", id="an argument holds no NUL"),
        pytest.param("command.0", "a\rb", "must be text without NUL", id="an argument holds no control"),
        pytest.param("command.0", "x" * 131_072, "is too long to start a process", id="an argument fits"),
        pytest.param("env", {"A": "1"}, "must be a list", id="env is a list"),
        pytest.param("env.0.name", REMOVED, "is required", id="a variable has a name"),
        pytest.param("env.0.value", REMOVED, "is required", id="a variable has a value"),
        pytest.param("env.0.name", "", "must be a name without `=`", id="a variable's name is not empty"),
        pytest.param("env.0.name", "A=B", "must be a name without `=`", id="a variable's name has no ="),
        pytest.param("env.0.name", "A\n", "must be a name without `=`", id="a variable's name is one line"),
        pytest.param("env.0.name", "PORT", "PORT is set by the platform", id="PORT is ours"),
        pytest.param("env.0.name", "PORT_9000", "PORT_9000 is set by the platform", id="PORT_<n> is ours"),
        pytest.param(
            "env.0.name", "SPECSTREAM_RUN_ID", "SPECSTREAM_RUN_ID is set by", id="the run's id is ours"
        ),
        pytest.param(
            "env.0.name", "SPECSTREAM_ANYTHING", "SPECSTREAM_ANYTHING is set by", id="SPECSTREAM_ is ours"
        ),
        pytest.param("env.0.value", 1, "must be a string", id="a variable's value is a string"),
        pytest.param("env.0.value", "a\x00", "must be text without NUL", id="a value holds no NUL"),
        pytest.param("env.0.value", "a\x1b[0m", "must be text without NUL", id="a value holds no escape"),
        pytest.param("env.0.value", "\udfff", "holds half a surrogate pair", id="a value is characters"),
        pytest.param("env.0.value", "x" * 131_072, "is too long to start a process", id="a value fits"),
        pytest.param("env.0.secret", True, "is not a known field", id="a variable has no other field"),
        pytest.param("resources", REMOVED, "is required", id="a spec has resources"),
        pytest.param("resources", [], "must be an object", id="resources are an object"),
        pytest.param("resources.replicas", -1, "must be at least 0", id="replicas from 0"),
        pytest.param("resources.replicas", 1001, "must be at most 1000", id="replicas to 1000"),
        pytest.param("resources.replicas", True, WHOLE, id="true is no number"),
        pytest.param("resources.replicas", 1.0, WHOLE, id="1.0 is no whole number"),
        pytest.param("resources.replicas", "2", WHOLE, id="a string is no number"),
        pytest.param("resources.replicas", 10**4500, "must be at most 1000", id="a huge number"),
        pytest.param("resources.ports", REMOVED, "is required", id="ports are required"),
        pytest.param("resources.ports", [], "must not be empty", id="at least one port"),
        pytest.param("resources.ports", 8000, "must be a list", id="ports are a list"),
        pytest.param("resources.ports.1", 0, "must be at least 1", id="ports from 1"),
        pytest.param("resources.ports.1", 65536, "must be at most 65535", id="ports to 65535"),
        pytest.param("resources.ports.1", "8000", WHOLE, id="a port is a number"),
        pytest.param("resources.ports.1", 8000, "8000 is listed twice", id="ports are unique"),
        pytest.param("resources.machineType", REMOVED, "is required", id="a machine type is required"),
        pytest.param(
            "resources.machineType", "c4", "is not a machine type", id="machine types have one case"
        ),
        pytest.param("resources.machineType", "Free-GPU", "is not a machine type", id="no free tier "),
        pytest.param("resources.instanceType", "C4", "is not a known field; its place", id="an old name"),
        pytest.param("resources.replica", 2, "did you mean `replicas`?", id="a misspelt field is suggested"),
        pytest.param("replicas", 2, "its place is `resources.replicas`", id="a field one level too high"),
        pytest.param("port", 80, "its place is `resources.ports`", id="a v0alpha0 field without its version"),
        pytest.param("$schema", "x", "is not a known field", id="clients remove $schema"),
        pytest.param("Name", "x", "is not a known field", id="fields have one case"),
        pytest.param("api_version", "v1", "is not a known field", id="fields are in camel case"),
        pytest.param("apiVersion", "v2", "is not a known version", id="versions are known"),
        pytest.param("apiVersion", 1, "is not a known version", id="a version is a string"),
        pytest.param("apiVersion", None, "is not a known version", id="null is no version"),
        pytest.param("healthChecks", [], "must be an object", id="health checks are an object"),
        pytest.param("healthChecks.ready", {}, "is not a known field", id="there are three kinds"),
        pytest.param("healthchecks", {}, "is another spelling of healthChecks", id="one spelling at a time"),
        pytest.param(READY, None, "must not be null", id="null is no check"),
        pytest.param(f"{READY}.path", REMOVED, "is required", id="a check has a path"),
        pytest.param(f"{READY}.path", "ready", "must be a path that starts", id="a path starts with /"),
        pytest.param(f"{READY}.path", "", "must be a path that starts", id="a path is not empty"),
        pytest.param(f"{READY}.path", "/a b", "must be a path that starts", id="a path has no whitespace"),
        pytest.param(
            f"{READY}.path", "/a\r\nX: y", "must be a path that starts", id="a path has no line end"
        ),
        pytest.param(f"{READY}.path", "/\\evil", "must be a path that starts", id="a path has no backslash"),
        pytest.param(f"{READY}.path", "http://x/", "must be a path that starts", id="a path is no address"),
        pytest.param(f"{READY}.port", 8001, "is not one of the spec's ports", id="a check's port is ours"),
        pytest.param(f"{READY}.port", "8000", WHOLE, id="a check's port is a number"),
        pytest.param(f"{READY}.host", "a:80", "must be a host name without a port", id="a host has no port"),
        pytest.param(f"{READY}.host", "", "must be a host name without a port", id="a host is not empty"),
        pytest.param(f"{READY}.host", "a b", "must be a host name without a port", id="a host has no space"),
        pytest.param(f"{READY}.host", "a/b", "must be a host name without a port", id="a host has no path"),
        pytest.param(f"{READY}.host", "a\r\nb", "must be a host name", id="a host has no line end"),
        pytest.param(f"{READY}.headers", {"A": "1"}, "must be a list", id="headers are a list"),
        pytest.param(f"{READY}.headers.0.name", "", "must be an HTTP token", id="a header has a name"),
        pytest.param(
            f"{READY}.headers.0.name", "X A", "must be an HTTP token", id="a header name is a token"
        ),
        pytest.param(
            f"{READY}.headers.0.name", "X:", "must be an HTTP token", id="a header name has no colon"
        ),
        pytest.param(
            f"{READY}.headers.0.value", "a\r\nB: c", "must be printable ASCII", id="no header splits"
        ),
        pytest.param(f"{READY}.initialDelaySeconds", -1, "must be at least 0", id="a delay from 0"),
        pytest.param(f"{READY}.periodSeconds", 0, "must be at least 1", id="a period from 1"),
        pytest.param(f"{READY}.periodSeconds", 0.5, WHOLE, id="a period is whole seconds"),
        pytest.param(f"{READY}.timeoutSeconds", 0, "must be at least 1", id="timeout 0 is refused"),
        pytest.param(f"{READY}.failureThreshold", 0, "must be at least 1", id="a threshold from 1"),
        *(
            pytest.param(f"{READY}.{name}", 2**31, "must be at most 2147483647", id=f"{name} fits in 31 bits")
            for name in ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
        ),
        pytest.param(f"{READY}.successThreshold", 1, "is not a known field", id="no successThreshold"),
        pytest.param(f"{READY}.tcpSocket", {}, "is not a known field", id="no tcp checks"),
    ],
)
def test_a_mistake_is_refused_where_it_is(path, value, message):
    (issue,) = issues(changed(path, value))
    assert dotted(issue) == path
    assert message in issue.message


@pytest.mark.parametrize(
    ("path", "value", "shown", "allowed"),
    [
        pytest.param("resources.replicas", 1001, 1001, "a whole number from 0 to 1000", id="a range"),
        pytest.param("resources.machineType", "H1", "H1", list(bundled()), id="the machine types"),
        pytest.param(
            "apiVersion", "v2", "v2", ["v0alpha0", "v0alpha1", "v1", "latest"], id="the known versions"
        ),
        pytest.param("name", "", "", f"{NO_CONTROL}, 1 to 200 characters", id="text in words"),
        pytest.param("enabled", 1, 1, "true or false", id="a boolean in words"),
        pytest.param(f"{READY}.port", 80, 80, [8000, 9000], id="the spec's own ports"),
        pytest.param(
            "resources.cpu",
            1,
            1,
            ["autoscaling", "machineType", "ports", "replicas", "surge"],
            id="the fields",
        ),
        pytest.param("name", "x" * 999, "x" * 100 + "…", None, id="a long value is cut"),
        pytest.param("name", "\ud800", "\\ud800", None, id="a surrogate is spelled out"),
        pytest.param("name", ["a", "b"], "a list with 2 values", None, id="a list is not repeated"),
        pytest.param("name", {"a": 1}, "an object with 1 field", None, id="an object is not repeated"),
        pytest.param("resources.replicas", 10**30, "a whole number of more than 19 digits", None, id="huge"),
        pytest.param("api_token", "hunter2", None, None, id="what looks like a secret is not shown"),
    ],
)
def test_an_issue_says_what_was_given_and_what_is_allowed(path, value, shown, allowed):
    (issue,) = issues(changed(path, value))
    assert issue.value == shown
    if allowed is not None:
        assert issue.allowed == allowed


@pytest.mark.parametrize(
    "raw", [None, [], "demo", 7, True, 1.5], ids=["null", "a list", "a string", "a number", "true", "1.5"]
)
def test_only_an_object_is_a_spec(raw):
    (issue,) = issues(raw)
    assert (issue.path, issue.message) == ((), "must be an object")


@pytest.mark.parametrize(
    ("check", "wrong", "message"),
    [
        ({"exec": {"command": []}}, "exec.command", "must not be empty"),
        ({"exec": {"command": [""]}}, "exec.command.0", "must not be empty"),
        ({"exec": {"command": "true"}}, "exec.command", "must be a list"),
        ({"exec": {"command": ["true", "a\0b"]}}, "exec.command.1", "must"),
        ({"exec": {}}, "exec.command", "is required"),
        ({"exec": {"command": ["x"], "shell": True}}, "exec.shell", "is not a known field"),
        ({"exec": {"command": ["x"]}, "path": "/"}, "path", "belongs to an HTTP check"),
        ({"exec": {"command": ["x"]}, "port": 8000}, "port", "belongs to an HTTP check"),
        ({}, "path", "is required (or exec"),
    ],
)
def test_a_check_has_one_form_and_is_whole(check, wrong, message):
    (issue,) = issues(changed(READY, check))
    assert dotted(issue) == f"{READY}.{wrong}"
    assert message in issue.message


def test_a_variable_is_set_once():
    (issue,) = issues(changed("env", [{"name": "A", "value": "1"}, {"name": "A", "value": "1"}]))
    assert (dotted(issue), issue.message) == ("env.1.name", "A is set already by entry 0")


def test_all_mistakes_come_at_once_and_the_message_names_the_first():
    raw = changed("resources.replicas", -1)
    raw = changed("healthChecks.liveness", {"path": "x", "port": 1, "timeoutSeconds": 0}, raw)
    raw = changed("env", [{"name": "PORT", "value": "1"}, {"name": "B", "value": "secret:B"}], raw)
    raw = changed("oops", 1, raw)
    with pytest.raises(BadRequest) as refused:
        parse_spec(raw)
    assert {dotted(issue) for issue in refused.value.issues} == {
        "resources.replicas",
        "healthChecks.liveness.path",
        "healthChecks.liveness.port",
        "healthChecks.liveness.timeoutSeconds",
        "env.0.name",
        "env.1.value",
        "oops",
    }
    assert refused.value.message.startswith(dotted(refused.value.issues[0]))
    assert refused.value.message.endswith("(and 6 more)")


def test_an_answer_carries_at_most_a_hundred_issues():
    assert len(issues(changed("env", [{"name": "PORT"}] * 5000))) == 100


def test_a_wrong_version_does_not_hide_other_mistakes():
    found = issues(changed("resources.replicas", -1, changed("apiVersion", "v9")))
    assert {dotted(issue) for issue in found} == {"apiVersion", "resources.replicas"}
