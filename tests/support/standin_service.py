"""A program that stands in for any service where only processes are of interest: it waits for its end.

In the api's place it answers the health check. In health's place it starts a child that outlives it.
"""

import os
import signal
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"HEALTHY"')

    def log_message(self, *_):
        return


def main() -> None:
    name = os.environ["SPECSTREAM_PROGRAM"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if name == "health":
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
    if name == "api":
        server = HTTPServer(("127.0.0.1", 0), _Healthy, bind_and_activate=False)
        server.socket.close()
        server.socket = socket.socket(fileno=int(os.environ["SPECSTREAM_API_SOCKET"]))
        server.serve_forever()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
