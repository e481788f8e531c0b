"""How much a service has still to take in, against a real server."""

import asyncio
from contextlib import aclosing, suppress

from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.bus.work import watch_waiting
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import CaughtUp
from tests.support.gauges import shown
from tests.support.names import CAUSE, claim, name
from tests.support.polling import eventually

WAITING = "specstream.log.waiting"


def waiting_now() -> dict[tuple[str, ...], float]:
    """Of the service that is watched here; a follower of another test may not have ended yet."""
    return {name: number for name, number in shown(WAITING).items() if name == ("router",)}


async def test_what_waits_for_a_follower_is_shown_and_another_one_changes_nothing(log_client: Client):
    log = JetStreamLog(log_client, source="specstream/router")
    drafts = [claim(name(f"n{number}")) for number in range(6)]
    await log.append(drafts[:3], heads={}, cause=CAUSE)
    assert waiting_now() == {}
    async with aclosing(log.follow(">", after=0)) as own, aclosing(log.follow(">", after=0)) as other:
        await anext(own)
        assert waiting_now() == {("router",): 3}  # none of them is known to be handled
        await anext(other)
        while not isinstance(await anext(own), CaughtUp):
            pass
        waiting = asyncio.ensure_future(anext(own))
        await eventually(lambda: waiting_now() == {("router",): 0})
        await log.append(drafts[3:], heads={}, cause=CAUSE)
        await waiting
        await eventually(lambda: waiting_now() == {("router",): 3})
    assert waiting_now() == {}


async def test_what_waits_in_a_durable_is_shown_and_nothing_where_it_is_not_known(log_client: Client):
    jetstream = log_client.jetstream()

    async def watched(durable: str, expected: dict[tuple[str, ...], float]) -> None:
        watching = asyncio.ensure_future(
            watch_waiting(log_client, stream=subjects.COMMANDS_STREAM, durable=durable, service="api")
        )
        await eventually(lambda: shown("specstream.work.waiting") == expected)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    await watched(subjects.COMMANDS_DURABLE, {("api",): 0})
    await jetstream.publish("commands.default.deployment.submit", b"{}")
    await watched(subjects.COMMANDS_DURABLE, {("api",): 1})
    await watched("there-is-none", {})
