"""What an endpoint answers, and whether a replica was asked."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from libs.cli import edge
from libs.cli.errors import CommandFailed
from libs.common.clock import monotonic
from tests.support.polling import PATIENCE_S

Serve = Callable[..., int]


def answer(status: int, body: object, *headers: str) -> bytes:
    text = json.dumps(body)
    lines = (f"HTTP/1.1 {status} Whatever", *headers, f"Content-Length: {len(text)}", "Connection: close")
    return "\r\n".join((*lines, "", text)).encode()


def refused(status: int, code: str) -> bytes:
    return answer(status, {"error": "Nobody.", "error_code": code})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answers each connection in turn, and with the last answer from then on; None says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    held = []

    def run(answers: list[bytes | None]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            connection.recv(65536)
            told = answers.pop(0) if len(answers) > 1 else answers[0]
            if told is not None:
                connection.sendall(told)
                connection.close()

    def start(*answers: bytes | None) -> int:
        threading.Thread(target=run, args=(list(answers),), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for each in held:
        each.close()


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(answer(500, "no", "x-specstream-replica: r1"), id="a replica's error"),
        pytest.param(
            answer(404, {"error_code": "deployment_not_found"}, "x-specstream-replica: r1"),
            id="a replica that speaks like the edge",
        ),
        pytest.param(refused(503, "replica_failed"), id="a replica that broke off"),
        pytest.param(answer(200, "hello"), id="somebody else"),
        pytest.param(answer(200, [1]), id="somebody else's list"),
        pytest.param(None, id="a replica that thinks"),
    ],
)
def test_it_waits_until_a_replica_was_asked(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, last: bytes | None
) -> None:
    monkeypatch.setattr(edge, "SILENCE_S", 0.5)
    before = [refused(404, code) for code in sorted(edge.NOT_YET)]
    port = serve(*before, last)
    edge.until_led(f"d1.localhost:{port}", give_up=monotonic() + PATIENCE_S)


def test_what_the_edge_says_is_told_in_the_end(serve: Serve) -> None:
    port = serve(refused(503, "no_ready_replicas"))
    with pytest.raises(CommandFailed, match=r"not served: Nobody\. \(no_ready_replicas\)"):
        edge.until_led(f"d1.localhost:{port}", give_up=monotonic())


def test_so_is_an_edge_that_is_away() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CommandFailed, match="the edge does not answer"):
        edge.until_led(f"d1.localhost:{port}", give_up=monotonic())
