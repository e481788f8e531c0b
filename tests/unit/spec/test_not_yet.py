"""What is understood and checked in full, and refused because nothing would come of it yet."""

from typing import Any

import pytest

from libs.common.spec.schema import SpecV0Alpha0
from libs.common.spec.versions import to_v1
from tests.unit.spec.mistakes import READY, VALID, changed, dotted, issues

S3: dict[str, Any] = {"type": "s3", "name": "data", "url": "s3://bucket/"}
KEYS = {"accessKeyId": "AK", "secretAccessKey": "secret:S3_KEY"}
OLD = {"apiVersion": "v0alpha0", "name": "a", "image": "b", "resources": {"instanceType": "C4"}}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("basicAuthKey", "secret:TOKEN", "is not supported yet"),
        ("basicAuthKey", "a literal", "is not supported yet"),
        ("containerRegistry", "team-registry", "is not supported yet"),
        ("integrations", [S3], "is not supported yet"),
        ("integrations", [{**S3, **KEYS, "path": "/d", "region": "r"}], "is not supported yet"),
        ("integrations", [{"type": "model", "id": "m", "name": "n"}], "is not supported yet"),
        (
            "integrations",
            [{"type": "do-spaces", "name": "n", "endpoint": "https://x"}],
            "is not supported yet",
        ),
        (
            "integrations",
            [{"type": "spaces", "name": "n", "endpoint": "https://x", **KEYS}],
            "is not supported yet",
        ),
        (
            "integrations",
            [{"type": "git-lfs", "name": "n", "url": "https://x/y", "path": "/models/"}],
            "is not supported yet",
        ),
        (
            "integrations",
            [{"type": "volume", "name": "n", "path": "/v", "readOnly": False}],
            "is not supported yet",
        ),
        ("integrations", [{"type": "volume", "name": "n"}], "is not supported yet"),
        ("env.0.value", "secret:NAME", "a secret reference is not supported yet"),
        ("env.0.value", "SECRET:NAME", "a secret reference is not supported yet"),
        ("env.0.value", "Secret:NAME", "a secret reference is not supported yet"),
        ("command.0", "secret:NAME", "a secret reference is not supported yet"),
        (f"{READY}.headers.0.value", "secret:NAME", "a secret reference is not supported yet"),
    ],
)
def test_right_but_not_yet(path, value, message):
    (issue,) = issues(changed(path, value))
    assert (dotted(issue), issue.message) == (path, message)
    assert issue.allowed in ("leave it out", "a plain value")


def test_a_command_that_checks_takes_no_secret_yet():
    (issue,) = issues(changed(READY, {"exec": {"command": ["check", "secret:NAME"]}}))
    expected = (f"{READY}.exec.command.1", "a secret reference is not supported yet")
    assert (dotted(issue), issue.message) == expected


@pytest.mark.parametrize(
    ("path", "value", "wrong", "message"),
    [
        ("basicAuthKey", "", "basicAuthKey", "must not be empty"),
        ("containerRegistry", 1, "containerRegistry", "must be a string"),
        ("region", "a\nb", "region", "must be text without NUL"),
        ("integrations", {}, "integrations", "must be a list"),
        ("integrations", [S3] * 6, "integrations", "must have at most 5 values"),
        ("integrations", [{"name": "n"}], "integrations.0.type", "is required"),
        ("integrations", [{**S3, "type": "nfs"}], "integrations.0.type", "is not one of the allowed"),
        ("integrations", [{"type": "s3", "name": "n"}], "integrations.0.url", "is required"),
        ("integrations", [{**S3, "url": "https://x"}], "integrations.0.url", "must be an address like s3"),
        ("integrations", [{**S3, "name": "a/b"}], "integrations.0.name", "must be a name without `/`"),
        ("integrations", [{**S3, "path": "d"}], "integrations.0.path", "must be an absolute path"),
        ("integrations", [{**S3, "size": 1}], "integrations.0.size", "is not a known field"),
        ("integrations", [{**S3, "accessKeyId": "A"}], "integrations.0.secretAccessKey", "is required toget"),
        (
            "integrations",
            [{**S3, **KEYS, "secretAccessKey": "plain"}],
            "integrations.0.secretAccessKey",
            "must be secret:NAME",
        ),
        (
            "integrations",
            [{**S3, "path": "/d"}, {**S3, "path": "/d"}],
            "integrations.1.path",
            "is the path of entry 0 already",
        ),
        (
            "integrations",
            [{"type": "spaces", "name": "n", "path": "/d"}],
            "integrations.0.endpoint",
            "is required",
        ),
        ("env.0.value", "secret:", "env.0.value", "must be secret:NAME"),
        ("env.0.value", "secret:1st", "env.0.value", "must be secret:NAME"),
        ("env.0.value", "secret:" + "n" * 129, "env.0.value", "must be secret:NAME"),
    ],
)
def test_wrong_and_not_yet_are_both_said(path, value, wrong, message):
    found = issues(changed(path, value))
    assert any(dotted(issue) == wrong and message in issue.message for issue in found), found
    # A value of the wrong kind altogether asks for nothing that is missing.
    if isinstance(value, list | dict) and value != {}:
        assert any("not supported yet" in issue.message for issue in found), found


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("models", [{"id": "m", "path": "/m"}], "is not supported yet"),
        ("repositories", {"dataset": "d"}, "repositories is not supported"),
        ("healthchecks", {}, "is not a known field"),
        ("basicAuthKey", "x", "is not a known field"),
        ("integrations", [], "is not a known field"),
    ],
)
def test_fields_of_the_oldest_version(field, value, message):
    (issue,) = issues({**OLD, field: value})
    assert dotted(issue) == field
    assert message in issue.message


def test_models_of_the_oldest_version_become_integrations():
    converted = to_v1(
        SpecV0Alpha0.model_validate({**OLD, "models": [{"id": "m"}, {"id": "n", "path": "/n"}]})
    )
    assert [(i.type, i.id, i.name, i.path) for i in converted.integrations] == [
        ("model", "m", "m", "/opt/models"),
        ("model", "n", "n", "/n"),
    ]


def test_a_literal_that_should_be_a_secret_is_never_shown_back():
    raw = changed("basicAuthKey", "hunter2", VALID)
    raw["integrations"] = [
        {**S3, "accessKeyId": "hunter2", "secretAccessKey": "hunter2", "password": "hunter2"}
    ]
    assert "hunter2" not in repr(issues(raw))
