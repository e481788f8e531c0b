"""A replica that writes what it is asked to, and ends when it is asked to, with the standard library alone.

| request                             | what it does                                                     |
|-------------------------------------|------------------------------------------------------------------|
| `POST /say?what=a&lines=3&size=40`  | writes the lines `a 00000 xxx`, of so many bytes each            |
| `POST /crash?what=...`              | writes them, and ends with status 3 without an answer            |
| `GET /...`                          | 200                                                              |

It begins by writing `begins`. On SIGTERM it writes `LEAVES_WITH` (`goodbye`) lines of 100 bytes and ends.
"""

import sys
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.support.live_platform import PROBED
from tests.support.plain_http import plain_client
from tests.support.polling import PATIENCE_S, eventually

SIZE = 100
"""Bytes of a line that it leaves with."""

_PROGRAM = """
import os, signal, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

def say(what, lines, size):
    text = "".join(f"{what} {number:05d} ".ljust(int(size), "x") + "\\n" for number in range(int(lines)))
    wrote = text.encode()
    while wrote:
        wrote = wrote[os.write(1, wrote):]

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = urlsplit(self.path)
        say(**dict(parse_qsl(asked.query)))
        if asked.path == "/crash":
            os._exit(3)
        self.do_GET()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

def leave(*_):
    say("goodbye", os.environ.get("LEAVES_WITH", "1"), 100)
    os._exit(0)

signal.signal(signal.SIGTERM, leave)
print("begins", flush=True)
ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler).serve_forever()
"""


def speaker(name: str, *, replicas: int = 1, **env: str) -> dict[str, Any]:
    """Its spec. env: its environment."""
    return {
        "apiVersion": "v1",
        "name": name,
        "image": "specstream/speaker",
        "command": [sys.executable, "-I", "-c", _PROGRAM],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "resources": {"machineType": "small", "ports": [8000], "replicas": replicas},
        "healthChecks": {"readiness": {"path": "/", **PROBED}},
    }


def said(what: str, lines: int, size: int = SIZE) -> list[str]:
    """What it writes when it is asked for these."""
    return [f"{what} {number:05d} ".ljust(size, "x") for number in range(lines)]


async def say(address: str, what: str, lines: int, size: int = SIZE) -> None:
    """As soon as it listens."""
    await _ask(address, "say", what, lines, size)


async def crash(address: str, what: str, lines: int, size: int = SIZE) -> None:
    """The same, and its process is gone."""
    await _ask(address, "crash", what, lines, size)


async def _ask(address: str, path: str, what: str, lines: int, size: int) -> None:
    query = urlencode({"what": what, "lines": lines, "size": size})
    async with plain_client(base_url=f"http://{address}", timeout=PATIENCE_S) as client:

        async def listens() -> bool:
            try:
                return (await client.get("/")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(listens, every_s=0.1, because=f"nobody listens at {address}")
        try:
            answer = await client.post(f"/{path}?{query}")
        except httpx.RemoteProtocolError:
            assert path == "crash"
        else:
            assert (path, answer.status_code) == ("say", 200)
