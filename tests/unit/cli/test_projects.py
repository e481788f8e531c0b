"""The folders that deployments are kept in."""

import httpx
import pytest

from libs.common.clock import utc_now

MADE = "p" * 32


def answer(_request):
    items = [
        {"id": MADE, "name": "team", "dtCreated": utc_now().isoformat()},
        {"id": "default", "name": "default", "dtCreated": "1970-01-01T00:00:00.000000Z"},
    ]
    return httpx.Response(200, json={"items": items, "hasMore": False})


def test_the_project_that_nobody_made_has_no_age(command_at):
    said = command_at(answer)("projects", "list")
    _, made, default = said.stdout.splitlines()
    assert made.split()[:2] == [MADE, "team"]
    assert made.split()[2].endswith("s")
    assert default.split() == ["default", "default", "-"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_platform_of_this_machine_is_asked_past_the_proxy_to_others(command_at, monkeypatch, name):
    command = command_at(answer)
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    said = command("projects", "list")
    assert said.exit_code == 0, said.output


def test_one_of_another_machine_is_asked_through_it(command_at, monkeypatch):
    command = command_at(answer)
    monkeypatch.setenv("SPECSTREAM_URL", "http://api.invalid")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    said = command("projects", "list")
    assert said.exit_code == 1
    assert "cannot reach the api at http://api.invalid: [Errno 111] Connection refused" in said.stderr
