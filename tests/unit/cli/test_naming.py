"""A deployment is named by its name or its id, and never guessed."""

import httpx
import pytest
from typer.testing import CliRunner

from libs.cli import naming
from libs.cli.errors import USAGE, CommandFailed
from libs.cli.main import app
from libs.client import Client

ID = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2


def client_of(answer):
    return Client("http://api.test", None, transport=httpx.MockTransport(answer))


def deployments(*known):
    """An api with these deployments: (id, name)."""

    def answer(request):
        found = [{"id": id_, "name": name} for id_, name in known]
        if request.url.path.startswith("/v1/projects/"):
            name = request.url.params["name"]
            items = [d for d in found if name in d["name"]]
            return httpx.Response(200, json={"items": items, "hasMore": False})
        for deployment in found:
            if request.url.path.endswith(deployment["id"]):
                return httpx.Response(200, json=deployment)
        return httpx.Response(404, json={"code": "NOT_FOUND", "message": "none"})

    return answer


@pytest.mark.parametrize("command", ["cost", "events"])
def test_a_project_without_a_deployment_is_not_passed_over(command):
    ended = CliRunner().invoke(app, [command, "--project", "shop"])
    assert ended.exit_code == USAGE
    assert "--project: says where a deployment is that is named" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", "-f", "spec.yaml", "--id", ""),
        ("list", "--project", ""),
        ("get", "hello", "--project", ""),
        ("get", ""),
        ("cost", ""),
        ("events", "--deployment", ""),
        ("logs", "hello", "--replica", ""),
        ("projects", "delete", ""),
    ],
)
def test_an_empty_name_is_not_the_same_as_none(arguments):
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == USAGE
    assert "must not be empty" in said.stderr


@pytest.mark.parametrize(
    ("known", "said", "meant"),
    [
        pytest.param([(ID, "hello")], "hello", ID, id="a name"),
        pytest.param([(ID, "hello")], ID, ID, id="an id"),
        pytest.param([], ID, ID, id="an id that may be of a deleted one"),
        pytest.param([(ID, OTHER)], OTHER, ID, id="a name like an id"),
        pytest.param([(ID, ID)], ID, ID, id="its own id as a name"),
    ],
)
def test_a_deployment_is_named_by_name_or_id(known, said, meant):
    with client_of(deployments(*known)) as client:
        assert naming.deployment_id(client, said, project="default") == meant


def test_a_name_must_be_the_whole_name():
    with (
        client_of(deployments((ID, "hello"))) as client,
        pytest.raises(CommandFailed, match="no deployment 'hell'"),
    ):
        naming.deployment_id(client, "hell", project="default")


def test_a_name_that_is_the_id_of_another_is_not_guessed():
    with (
        client_of(deployments((ID, OTHER), (OTHER, "hello"))) as client,
        pytest.raises(CommandFailed) as refused,
    ):
        naming.deployment_id(client, OTHER, project="default")
    assert ID in str(refused.value)
    assert "'hello'" in str(refused.value)
