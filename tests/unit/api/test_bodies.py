"""Bodies are read strictly, and all mistakes are told at once."""

import json
from functools import partial

import pytest

from libs.common.errors import BadRequest, ParseFailed
from libs.common.events.deployment import GitHeaders
from libs.common.machine_types.reading import bundled
from services.api.edge import bodies
from services.api.edge.bodies import git_headers, parse_project, parse_rollback
from tests.support.rest import a_config

parse_submit = partial(bodies.parse_submit, machine_types=bundled())


def paths(error: pytest.ExceptionInfo[BadRequest]) -> list[tuple]:
    return [issue.path for issue in error.value.issues]


def test_mistakes_around_the_spec_and_in_it_are_told_together():
    config = a_config(replicas=-1) | {"imgae": "x"}
    with pytest.raises(BadRequest) as error:
        parse_submit(json.dumps({"config": config, "project": "default"}).encode())
    assert set(paths(error)) == {
        ("projectId",),
        ("project",),
        ("config", "resources", "replicas"),
        ("config", "imgae"),
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nope", b"\xff", b'{"projectId": NaN}'],
    ids=["empty", "cut", "a word", "not UTF-8", "NaN"],
)
def test_what_is_not_json_is_a_parse_error(body):
    with pytest.raises(ParseFailed):
        parse_submit(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"x"'])
def test_what_is_not_an_object_is_refused(body):
    for parse in (parse_submit, parse_rollback, parse_project):
        with pytest.raises(BadRequest, match="the body must"):
            parse(body)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\u0000b", "a\nb"])
def test_a_project_has_a_printable_name(name):
    with pytest.raises(BadRequest) as error:
        parse_project(json.dumps({"name": name}).encode())
    assert paths(error) == [("name",)]


@pytest.mark.parametrize("deployment_id", [7, [], "x" * 201])
def test_what_may_be_null_says_so_and_what_else_it_may_be(deployment_id):
    body = {"config": a_config(), "projectId": "default", "deploymentId": deployment_id}
    with pytest.raises(BadRequest) as error:
        parse_submit(json.dumps(body).encode())
    (issue,) = error.value.issues
    assert (issue.path, issue.allowed) == (("deploymentId",), "text, at most 200 characters, or null")


def test_a_null_deployment_id_is_none():
    body = {"config": a_config(), "projectId": "default", "deploymentId": None}
    assert parse_submit(json.dumps(body).encode()).deployment_id is None


def test_git_headers_are_kept_as_they_came():
    headers = {"x-git-actor": "Zoé".encode().decode("latin-1"), "x-git-sha": "abc", "x-git-ref": "a\x01b"}
    assert git_headers(headers) == GitHeaders(actor="Zoé", sha="abc")
    assert git_headers({}) is None


def test_an_unknown_git_host_is_refused():
    with pytest.raises(BadRequest) as refused:
        git_headers({"x-git-host": "elsewhere"})
    (issue,) = refused.value.issues
    assert (issue.path, issue.value, issue.allowed) == (("x-git-host",), "elsewhere", ["github", "gitlab"])
