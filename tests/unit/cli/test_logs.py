"""Whose lines are shown: a replica is named by how its id begins, a gone one too."""

import httpx
import pytest

from libs.cli.errors import CommandFailed
from libs.cli.logs import whole_id
from libs.client import Client

DEPLOYMENT = "d" * 32
THERE, OTHER = "ab" + "1" * 30, "ac" + "1" * 30
GONE = "ab" + "2" * 30, "c7" + "2" * 30, "c8" + "2" * 30
PAGE = 4


def answer(request):
    """Two replicas are there and wrote nothing yet; the lines are of three gone ones."""
    if request.url.path.endswith("/runs"):
        return httpx.Response(200, json=[{"instances": [{"id": THERE}, {"id": OTHER}]}])
    begin = int(request.url.params.get("after", 0))
    lines = [{"id": str(at), "instanceId": GONE[at // 3], "message": "x"} for at in range(9)]
    found = lines[begin : begin + PAGE]
    more = {"nextPage": str(begin + PAGE)} if begin + PAGE < len(lines) else {}
    return httpx.Response(200, json={"items": found, "hasMore": bool(more), **more})


def named(replica):
    with Client("http://api.test", None, transport=httpx.MockTransport(answer)) as client:
        return whole_id(client, DEPLOYMENT, replica)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        pytest.param(None, None, id="all"),
        pytest.param("f" * 32, "f" * 32, id="a whole id, known or not"),
        pytest.param("ac", OTHER, id="one that is there"),
        pytest.param("ab", THERE, id="one that is there, rather than a gone one"),
        pytest.param("ab2", GONE[0], id="a gone one"),
        pytest.param(GONE[2][:12], GONE[2], id="as `logs` prints it, of a later page"),
    ],
)
def test_a_replica_is_named_by_how_its_id_begins(said, meant):
    assert named(said) == meant


@pytest.mark.parametrize("said", ["c9", "hello", "C7", "c" * 33])
def test_what_no_replica_begins_with_is_not_found(said):
    with pytest.raises(CommandFailed, match=f"--replica: no replica begins with '{said}'") as refused:
        named(said)
    assert refused.value.status == 4


@pytest.mark.parametrize(("said", "meant"), [("a", [THERE, OTHER]), ("c", [GONE[1], GONE[2]])])
def test_what_several_begin_with_is_not_guessed(said, meant):
    with pytest.raises(CommandFailed, match=f"--replica: 2 replicas begin with '{said}'") as refused:
        named(said)
    assert refused.value.lines[1:] == tuple(f"  {found}" for found in meant)
    assert refused.value.status == 2
