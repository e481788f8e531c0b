"""What entries promise, held by the fake and by JetStream."""

import asyncio

import pytest

from libs.common.bus import subjects
from libs.common.bus.entries import MOST_AT_ONCE, Entry, MemoryEntries, Replaced
from libs.common.errors import LogUnavailable
from libs.common.log.jetstream.entries import JetStreamManyEntries
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected, make_fresh
from tests.support.polling import PATIENCE_S, eventually


def entries_of(client, **how):
    return JetStreamManyEntries(client, stream=subjects.OUTCOMES_STREAM, root=subjects.OUTCOMES_ROOT, **how)


@pytest.fixture(params=["memory", "jetstream"])
def entries(request):
    if request.param == "memory":
        return MemoryEntries()
    # A thousand at once are as many writes to a disk that may be busy.
    return entries_of(request.getfixturevalue("log_client"), deadline_s=PATIENCE_S)


async def test_what_was_never_put_is_not_there(entries):
    assert await entries.get("a") is None


async def test_what_was_put_is_there(entries):
    sequence = await entries.put("a", b"one", after=0)
    assert await entries.get("a") == Entry(sequence, b"one")
    assert await entries.get("b") is None


async def test_many_are_read_at_once_and_what_is_not_there_is_left_out(entries):
    put = {str(number): await entries.put(str(number), b"%d" % number, after=0) for number in range(300)}
    put["7"] = await entries.put("7", b"again", after=put["7"])
    asked = [*map(str, range(0, 300, 2)), "7", "never", *(f"not-{number}" for number in range(600))]
    found = await entries.get_many(asked)
    assert found == {
        key: Entry(put[key], b"again" if key == "7" else key.encode()) for key in asked if key in put
    }
    assert await entries.get_many([]) == {}
    assert await entries.get_many(["never"]) == {}


async def test_more_than_fit_one_answer_are_all_read(entries):
    put = {}
    for number in range(40):
        put[str(number)] = await entries.put(str(number), bytes(200_000) + b"%d" % number, after=0)
    found = await entries.get_many([str(number) for number in range(40)])
    assert {key: (one.sequence, one.data[200_000:]) for key, one in found.items()} == {
        key: (sequence, key.encode()) for key, sequence in put.items()
    }


async def test_as_many_as_may_be_asked_for_at_once_are_answered(entries):
    keys = [str(number) for number in range(MOST_AT_ONCE + 1)]
    sequences = await asyncio.gather(*(entries.put(key, b"x", after=0) for key in keys))
    found = await entries.get_many(keys[1:])
    assert {key: one.sequence for key, one in found.items()} == dict(
        zip(keys[1:], sequences[1:], strict=True)
    )
    with pytest.raises(ValueError, match="1001 keys at once"):
        await entries.get_many(keys)


async def test_who_has_read_it_replaces_it(entries):
    first = await entries.put("a", b"one", after=0)
    await entries.put("b", b"other", after=0)
    second = await entries.put("a", b"two", after=first)
    assert second > first
    assert await entries.get("a") == Entry(second, b"two")


@pytest.mark.parametrize("after", [0, 1000])
async def test_who_has_not_replaces_nothing(entries, after):
    first = await entries.put("a", b"one", after=0)
    with pytest.raises(Replaced):
        await entries.put("a", b"two", after=after)
    assert await entries.get("a") == Entry(first, b"one")


async def test_a_first_entry_has_nothing_before_it(entries):
    with pytest.raises(Replaced):
        await entries.put("a", b"one", after=7)


async def test_of_many_at_once_one_wins(entries):
    async def put(number: int) -> int | None:
        try:
            return await entries.put("a", str(number).encode(), after=0)
        except Replaced:
            return None

    won = [number for number, put_at in enumerate(await asyncio.gather(*map(put, range(20)))) if put_at]
    assert len(won) == 1
    found = await entries.get("a")
    assert found.data == str(won[0]).encode()


async def test_the_stream_keeps_one_message_for_each_key(log_client):
    entries = entries_of(log_client)
    last = 0
    for number in range(10):
        last = await entries.put("a", str(number).encode(), after=last)
    info = await log_client.jetstream().stream_info(subjects.OUTCOMES_STREAM)
    assert info.state.messages == 1


async def test_a_broker_that_goes_away_in_between_changes_nothing(tmp_path):
    """What was sent into the void and what is sent after it are one and the same."""
    broker = NatsProcess(tmp_path / "nats")
    broker.start()
    try:
        async with connected(broker.url) as client:
            await make_fresh(client)
            entries = entries_of(client, deadline_s=PATIENCE_S, attempt_s=0.2)
            first = await entries.put("a", b"one", after=0)
            broker.kill()
            putting = asyncio.ensure_future(entries.put("a", b"two", after=first))
            reading = asyncio.ensure_future(entries.get("b"))
            broker.start()
            second = await putting
            assert await entries.get("a") == Entry(second, b"two")
            assert await reading is None
    finally:
        broker.stop()


async def test_a_broker_that_stays_away_is_named(tmp_path):
    broker = NatsProcess(tmp_path / "nats")
    broker.start()
    try:
        async with connected(broker.url) as client:
            await make_fresh(client)
            entries = entries_of(client, deadline_s=0.5, attempt_s=0.2)
            broker.kill()
            with pytest.raises(LogUnavailable):
                await entries.put("a", b"one", after=0)
            with pytest.raises(LogUnavailable):
                await entries.get("a")
            with pytest.raises(LogUnavailable):
                await entries.get_many(["a"])
            broker.start()
            await eventually(lambda: client.is_connected)
    finally:
        broker.stop()


async def test_more_than_the_broker_takes_is_refused(log_client):
    with pytest.raises(ValueError, match="more than the broker takes"):
        await entries_of(log_client).put("a", b"x" * 2_000_000, after=0)
