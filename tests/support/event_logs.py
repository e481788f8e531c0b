"""Both adapters of the event log, empty, one after the other; and what tests ask a log."""

import pytest
from nats.aio.client import Client

from libs.common.log.jetstream import JetStreamLog
from libs.common.log.memory import MemoryLog

AnyLog = JetStreamLog | MemoryLog


@pytest.fixture(params=["memory", "jetstream"])
def any_log(request: pytest.FixtureRequest) -> AnyLog:
    if request.param == "memory":
        return MemoryLog()
    return request.getfixturevalue("jetstream_log")


async def sequences(log: AnyLog, *filters: str, after: int = 0, until: int | None = None) -> list[int]:
    """Of the events that a read gives; of all events where no filter is given."""
    return [event.sequence async for event in log.read(*filters or (">",), after=after, until=until)]


async def registered(client: Client) -> list[tuple[str | None, int]]:
    """The command and the replicas of each spec, in the order of the log."""
    log = JetStreamLog(client, source="specstream/test")
    return [
        (event.cause.causation_id, event.data["spec"]["resources"]["replicas"])
        async for event in log.read("events.*.deployment.*.SpecRegistered")
    ]
