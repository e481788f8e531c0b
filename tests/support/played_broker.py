"""FastStream's test broker, with what it leaves out: where a message is stored, and what the broker is told.

Handlers, decoders, filters, middlewares and declared publishers are the real ones. What it cannot show is
what a server decides: durables and their limits, redelivery, acknowledgements of a publish. The loop of a
pull subscriber does not run, so a message comes to the handler in the task that publishes it.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from faststream.nats.testing import PatchedMessage

STORED_AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def stored(stream: str, durable: str, *, sequence: int = 1, deliveries: int = 1) -> dict[str, Any]:
    """Options of `publish` that make the message one of a stream, delivered by its durable."""
    nanoseconds = int(STORED_AT.timestamp()) * 1_000_000_000
    reply = f"$JS.ACK.{stream}.{durable}.{deliveries}.{sequence}.1.{nanoseconds}.0"
    return {"stream": stream, "reply_to": reply}


def record_what_is_told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the broker is told of each message from now on: `ack`, `term`, or (`nak`, the delay)."""
    told: list[Any] = []

    async def ack(message: PatchedMessage) -> None:
        told.append("ack")
        message._ackd = True

    async def term(message: PatchedMessage) -> None:
        told.append("term")
        message._ackd = True

    async def nak(message: PatchedMessage, delay: float | None = None) -> None:
        told.append(("nak", delay))
        message._ackd = True

    for one in (ack, term, nak):
        monkeypatch.setattr(PatchedMessage, one.__name__, one)
    return told
