"""Who listens to the events without a consumer, as another system may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.common.log.port import Archive
from tests.support.polling import eventually


@asynccontextmanager
async def listening(client: Client) -> AsyncIterator[list[Msg]]:
    """Every message that comes, in the order in which it comes."""
    heard: list[Msg] = []

    async def on_message(message: Msg) -> None:
        heard.append(message)

    subscription = await client.subscribe("events.>", cb=on_message)
    # Answered by the server, so from here on nothing is missed.
    await client.flush()
    try:
        yield heard
    finally:
        await subscription.unsubscribe()


async def assert_heard_exactly(heard: list[Msg], log: Archive) -> None:
    """All that the log holds, in its order, and nothing else."""
    stored = [(event.sequence, event.subject, event.headers["ce-id"]) async for event in log.read_raw()]
    await eventually(lambda: len(heard) >= len(stored), because="a stored event was not heard")
    assert [_said(message) for message in heard] == stored


def _said(message: Msg) -> tuple[int, str, str]:
    headers = message.headers or {}
    return int(headers.get("Nats-Sequence", 0)), message.subject, headers.get("ce-id", "")
