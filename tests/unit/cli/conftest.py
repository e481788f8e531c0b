"""The command line, and an api that answers it as a test says."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from libs.cli.main import app

Answer = Callable[[httpx.Request], httpx.Response]
Command = Callable[..., Result]


@pytest.fixture
def command_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[Answer], Command]]:
    """`command_at(answer)("list")` runs `specstream list` at a platform with that api."""
    servers: list[ThreadingHTTPServer] = []

    def at(answer: Answer) -> Command:
        class Handler(BaseHTTPRequestHandler):
            def reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                asked = httpx.Request(self.command, f"http://api.test{self.path}", content=body)
                said = answer(asked)
                self.send_response(said.status_code)
                self.send_header("content-length", str(len(said.content)))
                self.end_headers()
                self.wfile.write(said.content)

            def do_GET(self) -> None:
                self.reply()

            def do_POST(self) -> None:
                self.reply()

            def do_DELETE(self) -> None:
                self.reply()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("SPECSTREAM_HOME", str(tmp_path))
        monkeypatch.delenv("SPECSTREAM_API_KEY", raising=False)
        monkeypatch.setenv("SPECSTREAM_URL", f"http://127.0.0.1:{server.server_port}")
        return lambda *arguments: CliRunner().invoke(app, arguments)

    yield at
    for server in servers:
        server.shutdown()
        server.server_close()
