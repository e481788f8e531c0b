"""The folders that deployments are kept in."""

import httpx

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
