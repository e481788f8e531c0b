"""What comes of a stream, as it was delivered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from nats.aio.msg import Msg


@dataclass(frozen=True, slots=True)
class Delivered:
    """A stored message, as it was delivered."""

    sequence: int
    """Its place in its stream."""
    time: datetime
    """When it was stored there."""
    subject: str
    headers: Mapping[str, str]
    body: bytes
    deliveries: int = 1
    """How often it was delivered, this time included."""

    @classmethod
    def of(cls, message: Msg) -> Self:
        stored = message.metadata
        return cls(
            stored.sequence.stream,
            stored.timestamp,
            message.subject,
            message.headers or {},
            message.data,
            stored.num_delivered or 1,
        )
