"""A stored message as the broker hands it out, in three forms, brought into one."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from nats.aio.msg import Msg

from libs.common.log import wire


class Found(NamedTuple):
    """A stored message. time: the stream's timestamp."""

    sequence: int
    time: datetime
    subject: str
    headers: Mapping[str, str]
    data: bytes


def from_direct(message: Msg) -> Found:
    """A Direct Get's answer: the stream's data is in headers of the broker's own."""
    headers = message.headers or {}
    return Found(
        int(headers["Nats-Sequence"]),
        datetime.fromisoformat(headers["Nats-Time-Stamp"]),
        headers["Nats-Subject"],
        headers,
        message.data,
    )


class Delivery(NamedTuple):
    """A consumer's message. number: its place in the consumer's deliveries. pending: how many follow."""

    found: Found
    number: int
    pending: int


def from_consumer(message: Msg) -> Delivery:
    """The stream's data is in the reply subject, whose older form has no domain and account."""
    tokens = message.reply.split(".")
    at = 5 if len(tokens) == 9 else 7
    found = Found(
        int(tokens[at]),
        wire.from_nanoseconds(int(tokens[at + 2])),
        message.subject,
        message.headers or {},
        message.data,
    )
    return Delivery(found, int(tokens[at + 1]), int(tokens[at + 3]))


def from_leader(answer: Mapping[str, Any]) -> Found:
    """The `message` of an answer to STREAM.MSG.GET."""
    lines = base64.b64decode(answer.get("hdrs", "")).decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return Found(
        answer["seq"],
        datetime.fromisoformat(answer["time"]),
        answer["subject"],
        {name: value.strip(wire.SPACE) for name, _, value in pairs},
        base64.b64decode(answer.get("data", "")),
    )
