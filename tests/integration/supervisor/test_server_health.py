"""What the broker says of itself is asked over one connection, and over a new one where that is lost."""

import asyncio
import signal
from contextlib import suppress

import pytest

from libs.common.bus import server_health
from libs.common.errors import LogUnavailable
from tests.support.nats_users import connected_as, health_of_the_broker
from tests.support.polling import PATIENCE_S, eventually, let_time_pass


@pytest.fixture
def broker(platform):
    with health_of_the_broker(platform) as broker:
        yield broker


@pytest.fixture
def other(platform):
    """The same, asked by another process."""
    with health_of_the_broker(platform) as other:
        yield other


@pytest.fixture
def _patience(monkeypatch):
    """Where everything has to be answered, it may take as long as on a busy machine."""
    monkeypatch.setattr(server_health, "_ANSWER_WITHIN_S", PATIENCE_S)


async def is_well(broker):
    with suppress(LogUnavailable):
        return await broker.complaint() == ""
    return False


async def is_silent(broker):
    try:
        await broker.complaint()
    except LogUnavailable:
        return True
    return False


@pytest.mark.usefixtures("_patience")
async def test_a_broker_that_was_started_again_answers_the_first_question(platform, broker, other):
    assert await is_well(broker)
    before = platform.pid("nats")
    platform.send("nats", signal.SIGKILL)
    await eventually(lambda: is_well(other))
    assert platform.pid("nats") != before
    assert await broker.complaint() == ""


async def test_what_came_too_late_for_one_question_is_no_answer_to_the_next(platform, broker):
    await eventually(lambda: is_well(broker))
    platform.send("nats", signal.SIGSTOP)
    try:
        # A signal takes effect some time after it was sent.
        await eventually(lambda: is_silent(broker))
        given_up = asyncio.ensure_future(broker.complaint_of_the_mirror())
        await let_time_pass(0.1)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
    finally:
        platform.send("nats", signal.SIGCONT)
    await eventually(lambda: is_well(broker))


@pytest.mark.usefixtures("_patience")
async def test_who_asks_hears_the_answers_to_his_own_questions(platform, broker, other):
    # Who would make it again stands still.
    platform.send("supervisor", signal.SIGSTOP)
    try:
        async with connected_as(platform, "provision-mirror") as owner:
            await owner.jetstream().delete_stream("EVENTS")
        for _ in range(20):
            ours, theirs = await asyncio.gather(broker.complaint(), other.complaint_of_the_mirror())
            assert (ours, "EVENTS" in theirs) == ("", True)
            ours, theirs = await asyncio.gather(broker.complaint_of_the_mirror(), broker.complaint())
            assert ("EVENTS" in ours, theirs) == (True, "")
    finally:
        platform.send("supervisor", signal.SIGCONT)
