"""What the broker itself says is wrong with it, such as a stream that cannot be written any more.

A server that could not write a stream once refuses every later message of that stream until it is started
again, also when there is room again; and it answers all else as before. Only its own health check tells.

Asked in the broker's plain protocol, on a connection for each question: the supervisor asks too, which stays
resident and loads no client library.
"""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nkeys

from libs.common.bus.subjects import EVENTS_STREAM, MIRROR_ACCOUNT, PLATFORM_ACCOUNT
from libs.common.errors import LogUnavailable

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


async def complaint(url: str, seed_file: Path) -> str:
    """What is wrong with the server at `url`; empty when nothing is, or when no stream is there yet.

    Raises LogUnavailable when it does not answer.
    """
    said = await _said(url, seed_file, _OUR_STREAMS)
    return "" if said == _NO_STREAM_YET else said


async def complaint_of_the_mirror(url: str, seed_file: Path) -> str:
    """What is wrong with the copy of the events that other systems read; empty when nothing is.

    Raises LogUnavailable when the server does not answer.
    """
    return await _said(url, seed_file, _THE_MIRROR)


async def _said(url: str, seed_file: Path, about: Mapping[str, str]) -> str:
    address = urlsplit(url)
    try:
        seed = _seed_in(seed_file)
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            try:
                return _complaint_in(await _ask(reader, writer, seed, json.dumps(about).encode()))
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError, ValueError, KeyError, nkeys.NkeysError) as error:
        raise LogUnavailable(f"the broker does not tell how it is: {error!r}") from error


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seed: bytes, about: bytes) -> Any:
    info = json.loads((await reader.readline()).removeprefix(b"INFO "))
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
    reply = f"{INBOX}.1"
    asks = f"PUB {REQUEST} {reply} {len(about)}\r\n".encode() + about + b"\r\n"
    writer.write(f"CONNECT {json.dumps(login)}\r\nSUB {reply} 1\r\n".encode() + asks)
    while line := await reader.readline():
        if line.startswith(b"PING"):
            writer.write(b"PONG\r\n")
        elif line.startswith(b"-ERR"):
            raise ValueError(line.decode().strip())
        elif line.startswith(b"MSG "):
            return json.loads(await reader.readexactly(int(line.split()[-1])))
    raise ValueError("it hung up")


def _seed_in(path: Path) -> bytes:
    return path.read_bytes().strip()


def _complaint_in(answer: Any) -> str:
    data = answer["data"]
    return "" if data["status_code"] == 200 else str(data.get("error") or data["status"])
