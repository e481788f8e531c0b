"""A replica that uses what each request asks it to use, with the standard library alone.

| path                   | what it does, before it answers who it is                                        |
|------------------------|----------------------------------------------------------------------------------|
| `/`                    | nothing                                                                          |
| `/burn?seconds=0.05`   | uses that much time of a processor                                               |
| `/hold?mib=64`         | holds that much memory from now on, instead of what it held; 0 gives it back     |
| `/sleep?seconds=0.5`   | waits, so that a request is in flight for that long                              |
| `/ready`               | nothing: for the readiness check                                                 |

`HOST` (127.0.0.1): where it listens. A container is asked from elsewhere, so there it has to be 0.0.0.0.
SIGTERM: finishes what runs, then ends.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MOST_SECONDS = 60.0
MOST_MIB = 1024


class Held:
    """The memory that requests asked to be held."""

    data = bytearray()


class Running:
    """How many requests run."""

    count = 0
    changed = threading.Condition()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def handle_any(self):
        with Running.changed:
            Running.count += 1
        try:
            self.answer()
        finally:
            with Running.changed:
                Running.count -= 1
                Running.changed.notify_all()

    do_GET = do_POST = handle_any  # noqa: N815 -- http.server's names

    def answer(self):
        url = urlsplit(self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        try:
            match url.path:
                case "/" | "/ready":
                    pass
                case "/burn":
                    burn(number(query, "seconds", 0.05, MOST_SECONDS))
                case "/hold":
                    hold(int(number(query, "mib", 64, MOST_MIB)))
                case "/sleep":
                    time.sleep(number(query, "seconds", 0.5, MOST_SECONDS))
                case _:
                    return self.send_json({"error": f"no such path: {url.path}"}, 404)
        except ValueError as error:
            return self.send_json({"error": str(error)}, 400)
        return self.send_json(whoami())

    def send_json(self, content, status=200):
        body = json.dumps(content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """One line for each call would hide everything else."""


def number(query, name, usual, most):
    given = query.get(name, str(usual))
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ValueError(f"{name} is {given!r}: it must be a number from 0 to {most}")
    return value


def burn(seconds):
    """Of this thread's own, however many others want the processor."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))


def hold(mib):
    Held.data = bytearray()
    # Written to, or it would take no memory; and in place, or it would take twice as much at first.
    data = bytearray(os.urandom(4096))
    data *= mib * 256
    Held.data = data


def whoami():
    names = {"replica": "SPECSTREAM_REPLICA_ID", "deployment": "SPECSTREAM_DEPLOYMENT_ID"}
    return {key: os.environ.get(name) for key, name in names.items()} | {"pid": os.getpid()}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # a caller that went away is no error
            super().handle_error(request, client_address)


def main():
    server = Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    with Running.changed:
        Running.changed.wait_for(lambda: Running.count == 0)


if __name__ == "__main__":
    main()
