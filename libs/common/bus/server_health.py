"""What the broker itself says is wrong with it, such as a stream that cannot be written any more.

A server that could not write a stream once refuses every later message of that stream until it is started
again, also when there is room again; and it answers all else as before. Only its own health check tells.

Asked in the broker's plain protocol: the supervisor asks too, which stays resident and loads no client
library. The connection is kept from one question to the next, because a new one costs both sides ten times
what a question does.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import nkeys

from libs.common.bus.subjects import EVENTS_STREAM, MIRROR_ACCOUNT, PLATFORM_ACCOUNT
from libs.common.errors import LogUnavailable
from libs.common.ids import new_id

USER = "monitor"
"""Of the system account; may ask for the server's health, and nothing else."""

REQUEST = "$SYS.REQ.SERVER.PING.HEALTHZ"
_OUR_STREAMS = {"account": PLATFORM_ACCOUNT}
"""These alone. Asked about all accounts the server complains of the links in `$G` of a home that an earlier
version made: they are no streams of that account."""
_NO_STREAM_YET = f'JetStream account "{PLATFORM_ACCOUNT}" not found'
"""How the server puts it until the first stream is made: nothing that could not be written."""

_THE_MIRROR = {"account": MIRROR_ACCOUNT, "stream": EVENTS_STREAM}

INBOX = f"_INBOX_{USER}"

_ANSWER_WITHIN_S = 2.0


class ServerHealth:
    """What one process asks the server at `url`. seed_file: of `USER`."""

    def __init__(self, url: str, seed_file: Path) -> None:
        self._url = url
        self._seed_file = seed_file
        self._one_at_a_time = asyncio.Lock()
        self._connection: _Connection | None = None

    async def complaint(self) -> str:
        """What is wrong with it; empty when nothing is, or when no stream is there yet.

        Raises LogUnavailable when it does not answer.
        """
        said = await self._said(_OUR_STREAMS)
        return "" if said == _NO_STREAM_YET else said

    async def complaint_of_the_mirror(self) -> str:
        """What is wrong with the copy of the events that other systems read; empty when nothing is.

        Raises LogUnavailable when the server does not answer.
        """
        return await self._said(_THE_MIRROR)

    def close(self) -> None:
        """Of a question that is still asked, too: what answers come on that connection belong to nobody."""
        if self._connection is not None:
            self._connection.writer.close()
            self._connection = None

    async def _said(self, about: Mapping[str, str]) -> str:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(_ANSWER_WITHIN_S):
                    return _complaint_in(await self._answer(json.dumps(about).encode()))
            except (OSError, EOFError, TimeoutError, ValueError, KeyError, nkeys.NkeysError) as error:
                self.close()
                raise LogUnavailable(f"the broker does not tell how it is: {error!r}") from error
            except asyncio.CancelledError:
                self.close()
                raise

    async def _answer(self, about: bytes) -> Any:
        if self._connection is not None:
            try:
                return await _ask(self._connection, about)
            except (OSError, EOFError):  # a server that has started again since knows nothing of it
                self.close()
        address = urlsplit(self._url)
        seed = self._seed_file.read_bytes().strip()
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        self._connection = _Connection(reader, writer, f"{INBOX}.{new_id()}")
        await _log_in(self._connection, seed)
        return await _ask(self._connection, about)


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    inbox: str
    """Of this connection alone: others of the same user ask, too, and must not hear each other's answers."""


async def _log_in(connection: _Connection, seed: bytes) -> None:
    info = json.loads((await connection.reader.readline()).removeprefix(b"INFO "))
    pair = nkeys.from_seed(seed)
    signature = base64.urlsafe_b64encode(pair.sign(info["nonce"].encode())).rstrip(b"=").decode()
    login = {
        "nkey": pair.public_key.decode(),
        "sig": signature,
        "verbose": False,
        "pedantic": False,
        "lang": "python",
        "version": "1",
        "protocol": 1,
        "name": USER,
    }
    connection.writer.write(f"CONNECT {json.dumps(login)}\r\nSUB {connection.inbox} 1\r\n".encode())


async def _ask(connection: _Connection, about: bytes) -> Any:
    """Raises EOFError where the server has hung up."""
    reader, writer, inbox = connection
    writer.write(f"PUB {REQUEST} {inbox} {len(about)}\r\n".encode() + about + b"\r\n")
    while line := await reader.readline():
        if line.startswith(b"PING"):
            writer.write(b"PONG\r\n")
        elif line.startswith(b"-ERR"):
            raise ValueError(line.decode().strip())
        elif line.startswith(b"MSG "):
            answer = await reader.readexactly(int(line.split()[-1]) + 2)
            return json.loads(answer)
    raise EOFError("it hung up")


def _complaint_in(answer: Any) -> str:
    data = answer["data"]
    return "" if data["status_code"] == 200 else str(data.get("error") or data["status"])
