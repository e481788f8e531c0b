"""What is kept of gone replicas, held by the fake and by JetStream: bounded, joined, and deleted."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js.errors import NoStreamResponseError

from libs.common.bus import subjects
from libs.common.clock import utc_now
from libs.common.errors import LogUnavailable
from libs.common.log.jetstream.tails import JetStreamTails
from libs.common.tails.port import MemoryTails
from libs.common.tails.tail import (
    BYTES_OF_A_TIME,
    LONGEST_LINE,
    MOST_BYTES,
    MOST_REPLICAS,
    Tail,
    TailLine,
    decode,
    encode,
    join,
)
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected, make_fresh
from tests.support.polling import PATIENCE_S, eventually

AT = datetime(2026, 1, 1, tzinfo=UTC)


def line(number: int, message: str = "a line") -> TailLine:
    return TailLine(f"{number:010d}", message, AT + timedelta(microseconds=number))


def tail(replica_id: str, *numbers: int, message: str = "a line", problem: str = "") -> Tail:
    return Tail(replica_id, tuple(line(number, message) for number in numbers), problem)


@pytest.fixture(params=["memory", "jetstream"])
def tails(request):
    if request.param == "memory":
        return MemoryTails()
    return patient_tails(request.getfixturevalue("log_client"))


def patient_tails(client):
    """They wait for an answer as long as a broker may take that syncs to a busy disk."""
    return JetStreamTails(client, deadline_s=PATIENCE_S)


async def test_what_is_kept_is_read(tails):
    assert await tails.read("d") == []
    assert await tails.deployment_ids() == frozenset()
    await tails.keep("d", tail("a", 1, 2))
    await tails.keep("d", tail("b", problem="its node n does not answer"))
    await tails.keep("other", tail("c", 3))
    assert await tails.read("d") == [tail("a", 1, 2), tail("b", problem="its node n does not answer")]
    assert await tails.deployment_ids() == {"d", "other"}


async def test_later_words_are_added_and_the_same_ones_change_nothing(tails):
    await tails.keep("d", tail("a", 1, 2))
    between = utc_now()
    await tails.keep("d", tail("a", 1, 2))
    assert await tails.read("d", since=between) == []
    await tails.keep("d", tail("a", 2, 3))
    assert await tails.read("d") == await tails.read("d", since=between) == [tail("a", 1, 2, 3)]


async def test_a_problem_is_over_when_it_can_be_read_again(tails):
    await tails.keep("d", tail("a", 1))
    await tails.keep("d", tail("a", problem="its node n does not answer"))
    assert await tails.read("d") == [tail("a", 1, problem="its node n does not answer")]
    await tails.keep("d", tail("a", 2))
    assert await tails.read("d") == [tail("a", 1, 2)]


async def test_ten_replicas_of_a_deployment_are_kept_those_that_wrote_last(tails):
    for number in range(MOST_REPLICAS):
        await tails.keep("d", tail(f"r{number}", number))
    await tails.keep("d", tail("r0", 100))
    for number in range(MOST_REPLICAS, MOST_REPLICAS + 3):
        await tails.keep("d", tail(f"r{number}", number))
    kept = {each.replica_id for each in await tails.read("d")}
    assert kept == {"r0", *(f"r{number}" for number in range(4, MOST_REPLICAS + 3))}


async def test_of_a_replica_the_last_64_kib_are_kept(tails):
    noise = random.Random(1)
    wrote = [line(number, noise.randbytes(100).decode("latin-1")) for number in range(5_000)]
    for start in range(0, 5_000, 500):
        await tails.keep("d", Tail("a", tuple(wrote[start : start + 500])))
    (kept,) = await tails.read("d")
    assert kept.lines == tuple(wrote[-len(kept.lines) :])
    size = sum(BYTES_OF_A_TIME + len(each.message.encode()) for each in kept.lines)
    assert MOST_BYTES * 0.8 < size <= MOST_BYTES


async def test_two_at_once_lose_nothing(tails):
    both = [tails.keep("d", tail(f"r{number % 3}", number)) for number in range(12)]
    await asyncio.gather(*both)
    kept = {each.replica_id: [int(one.id) for one in each.lines] for each in await tails.read("d")}
    assert kept == {f"r{number}": [number, number + 3, number + 6, number + 9] for number in range(3)}


async def test_they_are_deleted_with_their_deployment(tails):
    await tails.keep("d", tail("a", 1))
    await tails.keep("other", tail("b", 2))
    await tails.forget("d")
    await tails.forget("never")
    assert await tails.read("d") == []

    async def is_gone() -> bool:
        return await tails.deployment_ids() == {"other"}

    await eventually(is_gone)
    await tails.keep("d", tail("c", 3))
    assert await tails.read("d") == [tail("c", 3)]
    await tails.forget("d")
    await tails.keep("d", tail("e", 4))
    assert await tails.read("d") == [tail("e", 4)]


async def test_after_seven_days_they_are_gone():
    now = [AT]
    tails = MemoryTails(lambda: now[0])
    await tails.keep("d", tail("a", 1))
    now[0] += timedelta(days=6)
    assert await tails.read("d")
    now[0] += timedelta(days=2)
    assert await tails.read("d") == []
    assert await tails.deployment_ids() == frozenset()


async def test_a_broker_that_is_away_is_said(tmp_path):
    server = NatsProcess(tmp_path / "own")
    server.start()
    try:
        async with connected(server.url) as client:
            await make_fresh(client)
            await patient_tails(client).keep("d", tail("a", 1))
            tails = JetStreamTails(client, deadline_s=0.5, attempt_s=0.2)
            server.kill()
            for call in (
                tails.keep("d", tail("a", 2)),
                tails.read("d"),
                tails.forget("d"),
                tails.deployment_ids(),
            ):
                with pytest.raises(LogUnavailable):
                    await call
            server.start()
            await eventually(lambda: client.is_connected)
    finally:
        server.stop()


async def test_no_writer_can_keep_more_than_ten(log_client):
    jetstream = log_client.jetstream()
    for slot in ("10", "a", "0.1"):
        with pytest.raises(NoStreamResponseError):
            await jetstream.publish(subjects.tail("d", slot), b"x")
    for number in range(3):
        await jetstream.publish(subjects.tail("d", 3), b"%d" % number)
    assert (await jetstream.stream_info(subjects.TAILS_STREAM)).state.messages == 1


async def test_what_is_no_tail_is_left_out_and_replaced(log_client):
    await log_client.jetstream().publish(
        subjects.tail("d", 0), b"nonsense", headers={"Specstream-Replica": "a"}
    )
    tails = patient_tails(log_client)
    assert await tails.read("d") == []
    await tails.keep("d", tail("a", 1))
    assert await tails.read("d") == [tail("a", 1)]


texts = st.text(max_size=200)


@given(st.lists(st.tuples(st.integers(0, 50), texts), max_size=60), st.integers(0, 60))
def test_joining_in_any_order_gives_the_same(wrote, cut):
    """As far as it is within the bound: what was cut off stays so."""
    lines = {number: line(number, message) for number, message in wrote}
    first = Tail("a", tuple(lines[each] for each in sorted(lines) if each < cut))
    second = Tail("a", tuple(lines[each] for each in sorted(lines) if each >= cut))
    joined = join(join(None, first), second)
    assert joined == join(join(None, second), first) == join(joined, first) == join(joined, joined)
    assert decode(encode(joined)) == joined


@given(st.binary(max_size=300_000))
def test_whatever_was_written_fits_into_one_message(wrote):
    text = wrote.decode("latin-1")
    lines = tuple(line(start, text[start : start + 3_000]) for start in range(0, len(text), 3_000))
    joined = join(None, Tail("a", (*lines, line(10**9, "x" * 200_000))))
    assert len(encode(joined)) <= MOST_BYTES
    assert joined.lines[-1].message == "x" * LONGEST_LINE
