"""Heartbeats: how a service says that it moves. A signal: droppable, never in the log."""

from datetime import datetime
from typing import Any

from faststream.nats import NatsBroker
from pydantic import BaseModel, ConfigDict

from libs.common.bus import subjects
from libs.common.clock import Clock, utc_now


class Heartbeat(BaseModel):
    """service: its name. applied_sequence: the last event it has taken in. sent_at: its own clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    service: str
    pid: int
    is_ready: bool
    applied_sequence: int
    sent_at: datetime
    detail: dict[str, Any] = {}


class HeartbeatPublisher:
    """Publishes one service's heartbeats, every `interval_s` seconds."""

    def __init__(
        self, broker: NatsBroker, *, service: str, pid: int, interval_s: float = 2.0, clock: Clock = utc_now
    ) -> None:
        self._broker = broker
        self._service = service
        self._pid = pid
        self._clock = clock
        self.interval_s = interval_s

    async def publish(self, *, applied_sequence: int, is_ready: bool, detail: dict[str, Any]) -> None:
        beat = Heartbeat(
            service=self._service,
            pid=self._pid,
            is_ready=is_ready,
            applied_sequence=applied_sequence,
            sent_at=self._clock(),
            detail=detail,
        )
        await self._broker.publish(beat, subjects.heartbeat(self._service))
