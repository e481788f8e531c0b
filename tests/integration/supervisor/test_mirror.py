"""The copy of the events that other systems read: made again when it is no copy any more."""

import signal
from contextlib import suppress

import pytest

from libs.common.errors import LogUnavailable
from tests.support.nats_server import provisioned
from tests.support.nats_users import connected_as, health_of_the_broker
from tests.support.polling import eventually


@pytest.mark.parametrize("what", ["lost", "of another log", "ahead", "with a gap"])
async def test_a_mirror_that_is_no_copy_is_made_again(make_platform, what):
    platform = make_platform()
    await platform.start_and_wait()
    await append(platform, "a", 5)
    await eventually(lambda: last_of_the_mirror(platform, 5))
    async with (
        connected_as(platform, "provision") as ours,
        connected_as(platform, "provision-mirror") as owner,
    ):
        match what:
            case "lost":
                await owner.jetstream().delete_stream("EVENTS")
            case "with a gap":
                await owner.jetstream().delete_msg("EVENTS", 3)
            case _:
                await ours.jetstream().delete_stream("EVENTS")
                await provisioned(ours)
    if what == "of another log":
        await append(platform, "b", 7)
    await platform.stop()
    await platform.start_and_wait()
    await append(platform, "c", 2)
    async with connected_as(platform, "provision") as ours:
        stored = (await ours.jetstream().stream_info("EVENTS")).state
        await eventually(lambda: last_of_the_mirror(platform, stored.last_seq))
        async with connected_as(platform, "commands") as theirs:
            assert (await theirs.jetstream().stream_info("EVENTS")).state.messages == stored.messages
            for sequence in range(1, stored.last_seq + 1):
                copied = await theirs.jetstream().get_msg("EVENTS", sequence)
                original = await ours.jetstream().get_msg("EVENTS", sequence)
                assert (copied.subject, copied.time) == (original.subject, original.time)


async def last_of_the_mirror(platform, expected):
    async with connected_as(platform, "commands") as theirs:
        return (await theirs.jetstream().stream_info("EVENTS")).state.last_seq == expected


async def append(platform, name, events):
    async with connected_as(platform, "api") as api:
        for place in range(events):
            await api.jetstream().publish(f"append.default.name.{name}{place}.NameClaimed", b"{}")


async def test_a_mirror_that_is_lost_while_all_runs_is_made_again_at_once(make_platform):
    platform = make_platform()
    await platform.start_and_wait()
    await append(platform, "a", 5)
    await eventually(lambda: last_of_the_mirror(platform, 5))

    with health_of_the_broker(platform) as broker:

        async def complaint() -> str:
            """Asked again where a server that stands still has not answered in time."""
            told: list[str] = []

            async def is_told() -> bool:
                with suppress(LogUnavailable):
                    told.append(await broker.complaint_of_the_mirror())
                return bool(told)

            await eventually(is_told)
            return told[0]

        # Who makes it again stands still until it was seen that it is lost.
        platform.send("supervisor", signal.SIGSTOP)
        try:
            async with connected_as(platform, "provision-mirror") as owner:
                await owner.jetstream().delete_stream("EVENTS")
            assert "EVENTS" in await complaint()
        finally:
            platform.send("supervisor", signal.SIGCONT)
        await eventually(lambda: "the copy of the events for other systems is made again" in platform.output)

        async def is_back() -> bool:
            return not await complaint()

        await eventually(is_back)
        await eventually(lambda: last_of_the_mirror(platform, 5))
