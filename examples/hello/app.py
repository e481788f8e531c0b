"""The smallest replica that shows everything a replica can do, with the standard library alone.

| path                            | answers                                                        |
|---------------------------------|----------------------------------------------------------------|
| `/`                             | who answered: replica, run, deployment, pid, `VERSION`         |
| `/echo`                         | the request: method, path, headers, body                       |
| `/env`                          | the environment of this process                                |
| `/slow?seconds=2`               | the same as `/`, that much later                               |
| `/stream?events=5&seconds=0.2`  | server-sent events, that far apart                             |
| `/ready`, `/live`               | 200 while on, 503 while off; `?set=off` and `?set=on` turn it  |
| `/running`                      | how many requests run, this one included                       |
| `/crash?status=3`               | nothing: the process ends at once. A GET is tried elsewhere    |
|                                 | and ends the next replica too; `curl -X POST` ends one         |

`HOST` (127.0.0.1): where it listens. A container is asked from elsewhere, so there it has to be 0.0.0.0.
`START_SECONDS` (0): how long it takes until `/ready` is on. SIGTERM: finishes what runs, then ends.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Switches:
    """What the checks say, and how many requests run."""

    def __init__(self, start_seconds: float):
        self.on = {"/ready": start_seconds == 0, "/live": True}
        self.running = 0
        self.changed = threading.Condition()
        if start_seconds:
            start = threading.Timer(start_seconds, self.on.update, [{"/ready": True}])
            start.daemon = True
            start.start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Head and body leave in one piece: a process that is killed in between would have begun an answer, and
    # what has begun nobody may ask for again.
    wbufsize = 64 * 1024
    switches = Switches(float(os.environ.get("START_SECONDS", "0")))

    def handle_any(self):
        with self.switches.changed:
            self.switches.running += 1
        try:
            self.answer()
        finally:
            with self.switches.changed:
                self.switches.running -= 1
                self.switches.changed.notify_all()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 -- http.server's names

    def answer(self):
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match url.path:
            case "/":
                self.send_json(whoami())
            case "/echo":
                request = {"method": self.command, "path": self.path, "headers": dict(self.headers)}
                self.send_json(whoami() | request | {"body": body.decode("utf-8", "replace")})
            case "/env":
                self.send_json(dict(os.environ))
            case "/slow":
                time.sleep(float(query.get("seconds", "1")))
                self.send_json(whoami())
            case "/stream":
                self.stream(int(query.get("events", "5")), float(query.get("seconds", "0.2")))
            case "/ready" | "/live":
                if "set" in query:
                    self.switches.on[url.path] = query["set"] == "on"
                is_on = self.switches.on[url.path]
                self.send_json({"on": is_on}, 200 if is_on or "set" in query else 503)
            case "/running":
                self.send_json({"running": self.switches.running})
            case "/crash":
                os._exit(int(query.get("status", "3")))
            case _:
                self.send_json({"message": f"nothing at {url.path}"}, 404)

    def send_json(self, value, status=200):
        data = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events: int, seconds: float):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for number in range(events):
            event = f"id: {number}\ndata: {json.dumps(whoami())}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(seconds)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        """One line for each probe would hide everything else."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # a caller that went away is no error
            super().handle_error(request, client_address)


def whoami():
    return {
        "message": os.environ.get("MESSAGE", "hello"),
        "version": os.environ.get("VERSION", "1"),
        "replica_id": os.environ.get("SPECSTREAM_REPLICA_ID"),
        "run_id": os.environ.get("SPECSTREAM_RUN_ID"),
        "deployment_id": os.environ.get("SPECSTREAM_DEPLOYMENT_ID"),
        "pid": os.getpid(),
    }


def main():
    server = Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"hello listens on port {os.environ['PORT']}", flush=True)
    server.serve_forever(poll_interval=0.05)
    with Handler.switches.changed:
        Handler.switches.changed.wait_for(lambda: Handler.switches.running == 0)
    print("hello has finished", flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
