"""A stream that its caller has closed is no reason for a command to fail otherwise than it would; one that
leads to a full disk is, in one sentence."""

import subprocess
import sys

import httpx
import pytest

ITEMS = {"items": [{"id": "p" * 32, "name": "team", "dtCreated": "2026-01-01T00:00:00Z"}], "hasMore": False}


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        ("projects list >&-", 0, ""),
        ("projects list 2>&-", 0, "team"),
        ("get no-such-one 2>&-", 4, ""),
        ("deploy -f - <&-", 5, "the standard input cannot be read as a spec"),
        ("projects list >/dev/full", 1, "specstream: cannot write: No space left on device"),
        ("projects list --json >/dev/full", 1, "specstream: cannot write: No space left on device"),
        ("--help >/dev/full", 1, "specstream: cannot write: No space left on device"),
        ("deploy --help >/dev/full", 1, "specstream: cannot write: No space left on device"),
        ("--help 2>/dev/full", 0, "declarative spec"),
    ],
)
def test_the_outcome_is_the_same(command_at, line, status, told):
    def answer(request):
        if request.url.path == "/v1/projects":
            return httpx.Response(200, json=ITEMS)
        return httpx.Response(200, json={"items": [], "hasMore": False})

    command_at(answer)
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m libs.cli {line}', sys.executable],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
