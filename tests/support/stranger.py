"""A stranger who knocks at every door of a platform. Standard library alone and no import of ours, because it
is run by the system's own Python as a user who may read nothing of ours.

Reads from stdin a list of doors, `[["tcp", "127.0.0.1", port] | ["unix", path], what is said in base64, s]`;
prints for each what was answered until the door was closed, in base64, or `{"refused": the error}`. At a door
that stays open it waits in vain for s seconds after each answer.
"""

import base64
import json
import socket
import sys
from typing import Any


def knock(door: list[Any], said: bytes, within_s: float) -> Any:
    family = socket.AF_UNIX if door[0] == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(within_s)
        answer = b""
        try:
            connection.connect(door[1] if door[0] == "unix" else (door[1], door[2]))
            connection.sendall(said)
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:
            pass
        except OSError as error:
            if not answer:
                return {"refused": type(error).__name__}
        return base64.b64encode(answer).decode()


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps([knock(door, base64.b64decode(said), within_s) for door, said, within_s in asked]))
