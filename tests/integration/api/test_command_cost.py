"""What it costs to know a command again: the same with any history."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.bus.delivered import Delivered
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.clock import utc_now
from libs.common.events.deployment import SpecRegistered
from libs.common.events.envelope import Cause, Draft
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.machine_types.reading import bundled
from services.api.commands.carry_out import Commands
from services.api.commands.decision import deployment_aggregate
from services.api.commands.outcomes import CommandKey, Outcomes
from services.api.edge.answers import Message
from services.api.edge.command import read_command
from services.api.edge.command_handler import CommandHandler
from tests.support.polling import PATIENCE_S
from tests.support.rest import a_config
from tests.support.specs import LOCAL_OFFER, parse_spec

CAUSE = Cause("key:default", "c")


class AtOnce:
    """Reads show everything at once."""

    def admit(self) -> None: ...

    async def wait_for(self, sequence: int) -> None: ...

    async def place_of_spec(self, deployment_id: str, spec_id: str) -> int:
        raise NotImplementedError


@dataclass
class Counted:
    """A handler on a connection whose traffic is counted."""

    client: Client
    told: list[dict[str, Any]] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        # Nothing is sent again because an answer takes long.
        once = {"attempt_s": PATIENCE_S, "deadline_s": PATIENCE_S}
        self.log = JetStreamLog(self.client, source="specstream/api", **once)
        entries = JetStreamEntries(
            self.client, stream=subjects.OUTCOMES_STREAM, root=subjects.OUTCOMES_ROOT, **once
        )
        self.outcomes = Outcomes(entries, utc_now)
        self.commands = Commands.over(self.log, AtOnce(), LOCAL_OFFER)
        self.handler = CommandHandler(self.log, self.commands, self.outcomes, self._publish, utc_now)

    async def _publish(self, message: Message) -> None:
        self.told.append(json.loads(message.body))

    async def send(self, command_id: str, data: Any) -> tuple[int, int]:
        """What it cost: messages sent, and kilobytes received."""
        self.sent += 1
        headers = {"ce-id": command_id, "ce-source": "/ci", "ce-type": "x", "ce-specversion": "1.0"}
        before = dict(self.client.stats)
        subject, body = "commands.default.deployment.submit", json.dumps(data).encode()
        await self.handler.on_command(
            read_command(Delivered(self.sent, utc_now(), subject, headers, body), bundled())
        )
        after = self.client.stats
        return after["out_msgs"] - before["out_msgs"], (after["in_bytes"] - before["in_bytes"]) // 1024

    async def grow(self, deployment_id: str, specs: int) -> None:
        aggregate = deployment_aggregate("default", deployment_id)
        loaded = await self.log.load(aggregate.filter)
        heads = loaded.heads
        while specs:
            drafts = [
                Draft(
                    aggregate,
                    SpecRegistered(
                        spec_id=new_id(), run_id="r", spec=parse_spec(a_config(replicas=1 + n % 50))
                    ),
                )
                for n in range(min(specs, 500))
            ]
            appended = await self.log.append(drafts, heads=heads, cause=CAUSE)
            heads = {**heads, **appended.heads}
            specs -= len(drafts)


@pytest.fixture
def counted(log_client: Client) -> Counted:
    return Counted(log_client)


async def test_a_new_command_a_repeat_and_one_begun_before_cost_the_same_with_3000_specs(counted: Counted):
    async def costs(name: str) -> list[tuple[int, int]]:
        data = {"config": a_config(replicas=7)}
        new = await counted.send(f"{name}-1", data)
        repeat = await counted.send(f"{name}-1", data)
        end = await counted.log.last_sequence()
        await counted.outcomes.begin(CommandKey("/ci", f"{name}-2"), after=end, is_new=True)
        begun = await counted.send(f"{name}-2", data)
        return [new, repeat, begun]

    await counted.send("first", {"config": a_config(replicas=50)})
    # Once for each connection it is found out whether an import is at work; not a cost of the command.
    await counted.send("second", {"config": a_config(replicas=49)})
    small = await costs("small")
    await counted.grow(counted.told[0]["deploymentId"], 3000)
    large = await costs("large")
    assert [messages for messages, _ in large] == [messages for messages, _ in small]
    assert all(kilobytes < 32 for _, kilobytes in large), large
    assert counted.told[2] == counted.told[3]


async def test_commands_leave_no_subject_in_the_index_of_the_events(counted: Counted, log_client: Client):
    for n in range(40):
        await counted.send(str(n), {"config": a_config(replicas=1 + n % 2)})
    info = await log_client.jetstream().stream_info(subjects.EVENTS_STREAM, subjects_filter=">")
    assert len(info.state.subjects or {}) == 3
    kept = await log_client.jetstream().stream_info(subjects.OUTCOMES_STREAM)
    assert kept.state.messages == 40
    config = kept.config
    assert (config.max_age, config.max_msgs_per_subject) == (30 * 24 * 3600, 1)
    assert config.max_msgs > 0
    assert config.max_bytes > 0
    assert config.discard == "old"
