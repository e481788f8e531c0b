"""What `log import` makes of an api that takes long, dies, or refuses."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.cli import importing
from libs.cli.errors import CommandFailed
from libs.cli.importing import import_file
from libs.client import ApiError, Client

HEAD = {"sequence": 2, "events": 2, "digest": "d" * 64}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(importing, "LOOK_EVERY_S", 0.0)
    path = tmp_path / "log.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in ({}, {}, {}, {"head": HEAD})))
    return path


def state(name: str, stored: int = 0, **more: Any) -> httpx.Response:
    return httpx.Response(
        200, json={"state": name, "events": 2, "stored": stored, "digest": HEAD["digest"], **more}
    )


NOBODY = httpx.ConnectError("refused")
TAKEN = httpx.Response(202, json={"events": 2})
REFUSED = httpx.Response(409, json={"code": "CONFLICT", "message": "the log has 3 events already"})
BUSY = httpx.Response(503, json={"code": "TIMEOUT", "message": "later"})


def api(*answers: httpx.Response | Exception) -> tuple[Client, list[str]]:
    """Gives these answers in this order. The list: the methods of what it was asked."""
    asked: list[str] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        asked.append(request.method)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    return Client("http://api", "key", transport=httpx.MockTransport(answer)), asked


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        pytest.param([TAKEN, state("done", 2)], "POST GET", id="done at once"),
        pytest.param(
            [TAKEN, state("storing", 1), BUSY, NOBODY, state("done", 2)],
            "POST GET GET GET GET",
            id="takes long, and the api dies",
        ),
        pytest.param(
            [NOBODY, BUSY, state("storing", 1), state("done", 2)],
            "POST GET GET GET",
            id="the answer is lost, and the api goes on with it",
        ),
        pytest.param(
            [NOBODY, state("none"), TAKEN, state("done", 2)],
            "POST GET POST GET",
            id="the file is lost, and sent again",
        ),
        pytest.param(
            [NOBODY, state("done", 2, digest="another"), TAKEN, state("done", 2)],
            "POST GET POST GET",
            id="an earlier import is none of its own",
        ),
    ],
)
def test_waits_for_the_true_outcome(file: Path, answers: list, asked: str):
    client, methods = api(*answers)
    assert import_file(client, file, say=lambda _: None) == 2
    assert " ".join(methods) == asked


def test_says_how_far_it_is(file: Path):
    client, _ = api(TAKEN, state("storing", 1), state("done", 2))
    said: list[str] = []
    import_file(client, file, say=said.append)
    assert said == ["importing 1 of 2"]


def test_what_is_refused_is_told_at_once(file: Path):
    client, _ = api(REFUSED)
    with pytest.raises(ApiError, match="3 events"):
        import_file(client, file, say=lambda _: None)


def test_an_import_that_fails_later_fails(file: Path):
    client, _ = api(TAKEN, state("storing", 1), state("failed", 1, message="somebody wrote first"))
    with pytest.raises(CommandFailed, match="somebody wrote first"):
        import_file(client, file, say=lambda _: None)


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    client, _ = api()
    with pytest.raises(CommandFailed, match="cannot read"):
        import_file(client, tmp_path / "none", say=lambda _: None)
