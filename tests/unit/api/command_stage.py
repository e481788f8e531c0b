"""A handler of commands with what surrounds it, over a log and entries in memory."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from libs.common.bus.delivered import Delivered
from libs.common.bus.entries import MemoryEntries
from libs.common.bus.publish import CannotStore
from libs.common.clock import utc_now
from libs.common.log.memory import MemoryLog
from libs.common.machine_types.reading import bundled
from services.api.commands.carry_out import Commands
from services.api.commands.outcomes import Outcomes, State
from services.api.edge.answers import Message
from services.api.edge.command import read_command
from services.api.edge.command_handler import CommandHandler
from tests.support.rest import a_config
from tests.support.specs import LOCAL_OFFER

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class AtOnce:
    """Reads show everything at once."""

    def admit(self) -> None: ...

    async def wait_for(self, sequence: int) -> None: ...


@dataclass
class SteppingClock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


class CutLog:
    """A log that fails as it is told, before or after an append; else the log's own."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.before: list[Exception] = []
        self.after: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, drafts: Any, **how: Any) -> Any:
        if self.before:
            raise self.before.pop(0)
        appended = await self._log.append(drafts, **how)
        if self.after:
            raise self.after.pop(0)
        return appended


@dataclass
class Stage:
    """A handler with what surrounds it. told: what its publishers hear, newest last."""

    log: CutLog = field(default_factory=lambda: CutLog(MemoryLog()))
    entries: MemoryEntries = field(default_factory=MemoryEntries)
    told: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    refusals: int = 0
    sent: int = 0
    state: State | None = None

    def __post_init__(self) -> None:
        self.commands = Commands.over(self.log, AtOnce(), LOCAL_OFFER)
        self.outcomes = Outcomes(self.entries, utc_now)
        self.handler = CommandHandler(self.log, self.commands, self.outcomes, self._publish, utc_now)

    async def _publish(self, message: Message) -> None:
        if self.refusals:
            self.refusals -= 1
            raise CannotStore("full")
        self.told.append((message.subject, json.loads(message.body), dict(message.headers)))

    async def send(
        self,
        command_id: str,
        data: Any,
        *,
        source: str = "/ci",
        verb: str = "submit",
        again: int | None = None,
        deliveries: int | None = None,
        **attributes: str,
    ) -> dict[str, Any]:
        """The answer. again: the number of an earlier message that is delivered once more."""
        self.sent += again is None
        named = {"id": command_id, "source": source, "type": "x", "specversion": "1.0"} | attributes
        headers = {f"ce-{name}": value for name, value in named.items()}
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        place = again or self.sent, NOW, f"commands.default.deployment.{verb}"
        delivered = Delivered(*place, headers, body, deliveries or (2 if again else 1))
        self.state = await self.handler.on_command(read_command(delivered, bundled()))
        return self.told[-1][1] if self.told else {}

    async def replicas(self) -> list[int]:
        """Of each spec that was registered."""
        return [
            event.data["spec"]["resources"]["replicas"]
            async for event in self.log.read("events.>")
            if event.type == "SpecRegistered"
        ]


def a_submission(replicas: int = 1, name: str = "demo") -> dict[str, Any]:
    return {"config": a_config(name, replicas=replicas)}
