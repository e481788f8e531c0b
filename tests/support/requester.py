"""Another system: it publishes commands and hears what becomes of them."""

import json
from collections.abc import Mapping
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.common.bus import subjects
from libs.common.ids import new_id
from tests.support.polling import PATIENCE_S, eventually

Json = dict[str, Any]


class Requester:
    """source: of its commands. heard: every answer, in order, as its subject's last token and its body."""

    def __init__(self, client: Client, source: str = "/ci/7") -> None:
        self._client = client
        self._stream = client.jetstream(timeout=PATIENCE_S)
        self.source = source
        self.heard: list[tuple[str, Json]] = []
        self.messages: list[Msg] = []

    async def listen(self) -> "Requester":
        for subject in subjects.ANSWERS:
            await self._client.subscribe(subject, cb=self._on_answer)
        await self._client.flush()
        return self

    async def _on_answer(self, message: Msg) -> None:
        self.messages.append(message)
        self.heard.append((message.subject.rsplit(".", 1)[1], json.loads(message.data)))

    async def publish(
        self,
        verb: str,
        data: Any,
        *,
        command_id: str | None = None,
        source: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """A command in binary mode; its id. headers: beside those of the mode."""
        attributes = {
            "specversion": "1.0",
            "id": command_id or new_id(),
            "source": source or self.source,
            "type": f"specstream.deployment.{verb}",
        }
        sent = {f"ce-{name}": value for name, value in attributes.items()} | dict(headers or {})
        await self._stream.publish(
            f"commands.default.deployment.{verb}", json.dumps(data).encode(), headers=sent
        )
        return attributes["id"]

    def answers_to(self, command_id: str, source: str | None = None) -> list[tuple[str, Json]]:
        known = command_id, source or self.source
        return [one for one in self.heard if (one[1]["commandId"], one[1]["commandSource"]) == known]

    async def answer(
        self, command_id: str, *, source: str | None = None, number: int = 1, within_s: float = PATIENCE_S
    ) -> tuple[str, Json]:
        """The `number`th answer to a command."""

        def found() -> tuple[str, Json] | None:
            answers = self.answers_to(command_id, source)
            return answers[number - 1] if len(answers) >= number else None

        because = f"no answer {number} to {command_id}"
        answer = await eventually(found, within_s=within_s, because=because)
        assert isinstance(answer, tuple)
        return answer

    async def ask(self, verb: str, data: Any, **named: Any) -> tuple[str, Json]:
        """Publish it and wait for its answer, one more than there were."""
        known = len(self.answers_to(named.get("command_id", ""), named.get("source")))
        command_id = await self.publish(verb, data, **named)
        return await self.answer(command_id, source=named.get("source"), number=known + 1)
