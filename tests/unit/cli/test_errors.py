"""What went wrong is told in few lines, and by the exit status."""

import errno
import re

import pytest
import typer

from libs.cli.connection import connect
from libs.cli.errors import USAGE, CommandFailed, describe, reported_errors, status_of
from libs.client import ApiError, Unreachable


@pytest.mark.parametrize(
    ("http_status", "status"),
    [
        (400, 5),
        (401, 3),
        (403, 3),
        (404, 4),
        (409, 5),
        (413, 5),
        (422, 5),
        (429, 5),
        (500, 6),
        (502, 6),
        (503, 6),
    ],
)
def test_the_exit_status_of_an_answer(http_status, status):
    assert status_of(ApiError(http_status, {"code": "X", "message": "x"})) == status


def test_the_exit_status_when_nobody_answers():
    assert status_of(Unreachable("http://x", "refused")) == 1


def issue(*path, message="is wrong", value=None, allowed=None):
    return {"path": list(path), "message": message, "value": value, "allowed": allowed}


DESCRIBED = [
    pytest.param([], ["the message"], id="without issues, the message"),
    pytest.param(
        [
            issue(
                "config",
                "resources",
                "replicas",
                message="must be at most 1000",
                value=1001,
                allowed="0 to 1000",
            )
        ],
        ["resources.replicas: must be at most 1000; got 1001 (allowed: 0 to 1000)"],
        id="one issue is one line, named as in the reader's file",
    ),
    pytest.param(
        [issue("config", "name", message="is required")],
        ["name: is required"],
        id="what is absent is not shown",
    ),
    pytest.param(
        [issue(message="is no object", value="a")], ['is no object; got "a"'], id="no path, no colon"
    ),
    pytest.param(
        [issue("config", "env", 0, "name", value=True)],
        ["env.0.name: is wrong; got true"],
        id="JSON's own words",
    ),
    pytest.param(
        [issue("replica", message="is not a known field; did you mean `replicas`?", value=3)],
        ["replica: is not a known field; did you mean `replicas`? got 3"],
        id="a question ends a sentence",
    ),
    pytest.param(
        [issue("at", allowed=["a", "b"])], ["at: is wrong (allowed: a, b)"], id="a list is no Python list"
    ),
    pytest.param(
        [issue("at", allowed=["x" * 40, "y" * 40])],
        ["at: is wrong", f"  allowed: {'x' * 40}, {'y' * 40}"],
        id="a long list has a line of its own",
    ),
    pytest.param(
        [issue("a"), issue("b")], ["2 mistakes:", "  a: is wrong", "  b: is wrong"], id="all issues are told"
    ),
]


@pytest.mark.parametrize(("issues", "lines"), DESCRIBED)
def test_describes_issues(issues, lines):
    error = ApiError(400, {"code": "BAD_REQUEST", "message": "the message", "issues": issues})
    assert list(describe(error)) == lines


@pytest.mark.parametrize(
    ("is_set", "is_there", "told"),
    [
        (True, True, ["the key is SPECSTREAM_API_KEY:", "started with?"]),
        (True, False, ["the key is SPECSTREAM_API_KEY:", "started with?"]),
        (False, True, ["the key is that in {file} (SPECSTREAM_HOME):", "started with?"]),
        (False, False, ["there is no {file}", "SPECSTREAM_HOME says where"]),
    ],
)
def test_says_where_the_key_is_from_and_whether_it_is_there(monkeypatch, tmp_path, is_set, is_there, told):
    monkeypatch.setenv("SPECSTREAM_HOME", str(tmp_path))
    monkeypatch.setenv("SPECSTREAM_API_KEY", "k" if is_set else "")
    if is_there:
        (tmp_path / "api-key").write_text("the-key")
    lines = list(describe(ApiError(401, {"code": "UNAUTHORIZED", "message": "A valid key is needed"})))
    assert lines[0] == "A valid key is needed"
    assert len(lines) == 1 + len(told)
    for line, part in zip(lines[1:], told, strict=True):
        assert part.format(file=tmp_path / "api-key") in line


ANOTHER = Unreachable("http://x/v1", "something else answers there (HTTP 404)")
NOTHING = ApiError(404, {"code": "NOT_FOUND", "message": "There is nothing at this address"})
NO_PROJECT = ApiError(
    404, {"code": "NOT_FOUND", "message": "", "issues": [issue("projectId", message="no such project")]}
)


@pytest.mark.parametrize(
    ("url", "error", "is_told"),
    [
        ("http://x/v1", NOTHING, True),
        ("http://x/v1/", ANOTHER, True),
        ("http://x/v1", NO_PROJECT, False),
        ("http://x/", NOTHING, False),
        ("http://x", ANOTHER, False),
        ("http://[x", ANOTHER, False),
        ("", NOTHING, False),
    ],
)
def test_says_of_an_address_with_a_path_that_it_may_be_one_too_much(monkeypatch, url, error, is_told):
    monkeypatch.setenv("SPECSTREAM_URL", url)
    hints = [line for line in describe(error) if "without a path, is /v1 one too much?" in line]
    assert len(hints) == is_told


def test_says_that_a_project_is_named_by_its_id():
    told = [issue("projectId", message="no such project", value="team")]
    error = ApiError(404, {"code": "NOT_FOUND", "message": "There is no such project", "issues": told})
    assert list(describe(error)) == [
        'projectId: no such project; got "team"',
        "  a project is named by its id, which `projects list` shows",
    ]


def test_says_how_to_start_the_platform():
    first, hint = describe(Unreachable("http://x", "refused"))
    assert first == "cannot reach the api at http://x: refused"
    assert "make up" in hint
    assert "SPECSTREAM_API_PORT" in hint


def test_names_what_is_not_ready():
    error = ApiError(503, {"code": "X", "message": "not ready", "details": {"notReady": ["router"]}})
    assert list(describe(error)) == ["not ready", "  not ready: router"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPECSTREAM_URL", "127.0.0.1:8080"),
        ("SPECSTREAM_URL", "http://"),
        ("SPECSTREAM_URL", "http://127.0.0.1:99999"),
        ("SPECSTREAM_URL", "http://[::1"),
        ("SPECSTREAM_URL", "ftp://127.0.0.1"),
        ("SPECSTREAM_API_PORT", "0"),
    ],
)
def test_a_wrong_setting_is_refused_by_name_as_wrong_usage(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(CommandFailed, match=f"^{name}: {re.escape(repr(value))} is not ") as refused:
        connect()
    assert refused.value.status == USAGE


ENDINGS = [
    pytest.param(
        CommandFailed("one", "  two", status=4), 4, "specstream: one\n  two\n", id="a command that failed"
    ),
    pytest.param(ApiError(404, {"code": "X", "message": "gone"}), 4, "specstream: gone\n", id="an answer"),
    pytest.param(KeyboardInterrupt(), 130, "", id="Ctrl-C"),
    pytest.param(
        OSError(errno.ENOSPC, "No space left"),
        1,
        "specstream: cannot write: No space left\n",
        id="a full disk",
    ),
]


@pytest.mark.parametrize(("error", "status", "stderr"), ENDINGS)
def test_an_error_ends_in_lines_and_a_status(capsys, error, status, stderr):
    with pytest.raises(typer.Exit) as ended, reported_errors():
        raise error
    assert ended.value.exit_code == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", stderr)


def test_a_reader_that_has_seen_enough_is_left_to_the_command_line():
    with pytest.raises(BrokenPipeError), reported_errors():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
