"""What the two ends of METRICS promise, held by the fake and by JetStream."""

import asyncio
from contextlib import aclosing

import pytest

from libs.common.bus import subjects
from libs.common.errors import MetricsUnavailable
from libs.common.log.jetstream.samples import JetStreamSamplePublisher, JetStreamSampleReader
from libs.common.metrics.parts import MOST_BYTES
from libs.common.metrics.port import KEPT_S, CaughtUp, MemorySamples, Place, Received
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestTotals
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import connected, make_fresh, provisioned
from tests.support.polling import PATIENCE_S, eventually


def requests(number: int, *deployments: str, source: str = "edge") -> Batch:
    return Batch(
        kind=Kind.REQUESTS,
        source=source,
        counter_id="c",
        number=number,
        interval_s=5,
        ended_at=1000.0 + number,
        requests=tuple(RequestTotals(deployment_id=each, answered=number) for each in deployments),
    )


def usage(number: int, *replicas: str) -> Batch:
    return Batch(
        kind=Kind.USAGE,
        source="health",
        counter_id="h",
        number=number,
        interval_s=15,
        ended_at=1000.0 + number,
        usage=tuple(
            ReplicaUsage(
                deployment_id="d", replica_id=each, attempt=0, ended_at=1.5, window_s=15, cpu_cores=0.25
            )
            for each in replicas
        ),
    )


class Ends:
    def __init__(self, publisher, reader):
        self.publisher = publisher
        self.reader = reader

    async def publish(self, *batches: Batch) -> None:
        for batch in batches:
            await self.publisher.publish(batch)

    async def stored(self, *kinds: Kind, since: float = 0.0, after: Place | None = None) -> list[Received]:
        """What there is now."""
        found = []
        async with (
            asyncio.timeout(PATIENCE_S),
            aclosing(self.reader.follow(*kinds, since=since, after=after)) as following,
        ):
            async for one in following:
                if isinstance(one, CaughtUp):
                    return found
                found.append(one)
        raise AssertionError("it never caught up")


@pytest.fixture(params=["memory", "jetstream"])
def ends(request):
    if request.param == "memory":
        both = MemorySamples()
        return Ends(both, both)
    client = request.getfixturevalue("log_client")
    return Ends(
        JetStreamSamplePublisher(client, attempt_s=PATIENCE_S),
        JetStreamSampleReader(client, attempt_s=PATIENCE_S),
    )


async def test_what_was_published_is_read_as_it_was_and_in_its_order(ends):
    batches = [requests(1, "a", "b"), requests(2), requests(3, "a", source="edge-2")]
    await ends.publish(*batches)
    found = await ends.stored(Kind.REQUESTS)
    assert [one.batch for one in found] == batches
    assert [one.sequence for one in found] == sorted(one.sequence for one in found)


async def test_where_there_is_nothing_a_reader_has_caught_up_at_once(ends):
    assert await ends.stored(*Kind) == []


async def test_only_the_kinds_that_were_asked_for_are_read(ends):
    await ends.publish(requests(1, "a"), usage(1, "r"))
    assert [one.batch for one in await ends.stored(Kind.USAGE)] == [usage(1, "r")]
    assert len(await ends.stored(Kind.USAGE, Kind.REQUESTS)) == 2


async def test_reading_begins_with_a_time(ends):
    await ends.publish(requests(1), requests(2), requests(3))
    second = (await ends.stored(Kind.REQUESTS))[1]
    found = await ends.stored(Kind.REQUESTS, since=second.stored_at)
    assert [one.batch.number for one in found] == [2, 3]
    assert await ends.stored(Kind.REQUESTS, since=second.stored_at + 60) == []


async def test_reading_begins_behind_a_place_whatever_the_time(ends):
    await ends.publish(requests(1), requests(2), requests(3))
    first, second, _ = await ends.stored(Kind.REQUESTS)
    after = Place(first.stream, first.sequence)
    late = second.stored_at + 60
    assert [one.batch.number for one in await ends.stored(Kind.REQUESTS, since=late, after=after)] == [2, 3]
    last = Place(first.stream, second.sequence + 1)
    assert await ends.stored(Kind.REQUESTS, after=last) == []


async def test_a_place_in_another_stream_says_nothing_of_this_one(ends):
    await ends.publish(requests(1), requests(2))
    _, second = await ends.stored(Kind.REQUESTS)
    after = Place(f"not {second.stream}", second.sequence)
    found = await ends.stored(Kind.REQUESTS, since=second.stored_at, after=after)
    assert [one.batch.number for one in found] == [2]


async def test_of_one_deployment_every_batch_comes_without_the_samples_of_others(ends):
    await ends.publish(requests(1, "a", "b"), requests(2, "b"), usage(1, "r"))
    async with asyncio.timeout(PATIENCE_S), aclosing(ends.reader.follow(*Kind, since=0, only="a")) as found:
        assert (await anext(found)).batch == requests(1, "a")
        assert (await anext(found)).batch == requests(2)
        of_other = (await anext(found)).batch
        assert of_other == usage(1, "r").model_copy(update={"usage": ()})


async def test_what_comes_later_is_read_when_it_comes(ends):
    await ends.publish(requests(1))
    async with asyncio.timeout(PATIENCE_S), aclosing(ends.reader.follow(*Kind, since=0)) as following:
        assert (await anext(following)).batch.number == 1
        assert isinstance(await anext(following), CaughtUp)
        await ends.publish(requests(2), usage(1, "r"))
        assert (await anext(following)).batch == requests(2)
        assert (await anext(following)).batch == usage(1, "r")


async def test_a_large_batch_comes_in_numbered_parts(ends):
    replicas = [f"replica-{number:06}" for number in range(10_000)]
    await ends.publish(usage(1, *replicas))
    found = [one.batch for one in await ends.stored(Kind.USAGE)]
    assert sorted(batch.part for batch in found) == list(range(1, len(found) + 1))
    assert {batch.parts for batch in found} == {len(found)}
    assert len(found) > 1
    assert {batch.number for batch in found} == {1}
    in_order = sorted(found, key=lambda batch: batch.part)
    assert [one.replica_id for batch in in_order for one in batch.usage] == replicas


async def test_it_says_how_long_it_holds_what(ends):
    empty = await ends.reader.holding()
    assert (empty.keeps_s, empty.since) == (KEPT_S, None)
    await ends.publish(requests(1), requests(2))
    first, _ = await ends.stored(Kind.REQUESTS)
    holding = await ends.reader.holding()
    assert holding.since == pytest.approx(first.stored_at, abs=1e-3)


@pytest.mark.parametrize("source", ["", "a.b", "a b", "*", ">", "é", "x" * 65])
async def test_a_source_that_is_no_token_is_refused(ends, source):
    with pytest.raises(ValueError, match="source"):
        await ends.publish(requests(1, source=source))


async def test_samples_of_another_kind_are_refused(ends):
    wrong = requests(1).model_copy(update={"usage": usage(1, "r").usage})
    with pytest.raises(ValueError, match="has usage"):
        await ends.publish(wrong)


async def test_two_read_at_once(ends):
    await ends.publish(requests(1))
    one, other = await asyncio.gather(ends.stored(Kind.REQUESTS), ends.stored(Kind.REQUESTS))
    assert one == other


async def test_what_is_no_batch_is_left_out(log_client):
    jetstream = log_client.jetstream()
    await jetstream.publish(subjects.samples("requests", "edge"), b"no json")
    await jetstream.publish(subjects.samples("requests", "edge"), b'{"kind": "requests"}')
    of_another = requests(1, source="other").model_dump_json().encode()
    await jetstream.publish(subjects.samples("requests", "edge"), of_another)
    negative = b'{"kind":"requests","source":"edge","counter_id":"c","number":1,"interval_s":5,"ended_at":1,'
    await jetstream.publish(
        subjects.samples("requests", "edge"), negative + b'"requests":[{"deployment_id":"a","answered":-1}]}'
    )
    await JetStreamSamplePublisher(log_client, attempt_s=PATIENCE_S).publish(requests(2))
    found = await Ends(None, JetStreamSampleReader(log_client)).stored(*Kind)
    assert [one.batch for one in found] == [requests(2)]


async def test_no_message_is_larger_than_a_part_may_be(log_client):
    publisher = JetStreamSamplePublisher(log_client, attempt_s=PATIENCE_S)
    await publisher.publish(usage(1, *(f"replica-{n:06}" for n in range(10_000))))
    jetstream = log_client.jetstream()
    held = (await jetstream.stream_info(subjects.METRICS_STREAM)).state
    for sequence in range(1, held.messages + 1):
        message = await jetstream.get_msg(subjects.METRICS_STREAM, sequence)
        assert len(message.data) <= MOST_BYTES


async def test_a_reader_goes_on_where_the_stream_was_made_anew(log_client):
    """The sequences of the new one begin at 1 again, below those that were read."""
    publisher = JetStreamSamplePublisher(log_client, attempt_s=PATIENCE_S)
    reader = JetStreamSampleReader(log_client, again_s=0.01)
    for number in (1, 2, 3):
        await publisher.publish(requests(number))
    async with asyncio.timeout(PATIENCE_S), aclosing(reader.follow(Kind.REQUESTS, since=0)) as following:
        for number in (1, 2, 3):
            assert (await anext(following)).batch.number == number
        assert isinstance(await anext(following), CaughtUp)
        await log_client.jetstream().delete_stream(subjects.METRICS_STREAM)
        with pytest.raises(MetricsUnavailable):
            await publisher.publish(requests(4))
        await provisioned(log_client)
        await publisher.publish(requests(5))
        assert (await anext(following)).batch.number == 5


async def test_a_reader_goes_on_when_the_broker_is_back_and_nothing_comes_twice(tmp_path):
    broker = NatsProcess(tmp_path / "nats")
    broker.start()
    try:
        async with connected(broker.url) as client:
            await make_fresh(client)
            publisher = JetStreamSamplePublisher(client, attempt_s=0.5)
            reader = JetStreamSampleReader(client, again_s=0.01, attempt_s=0.5)
            await JetStreamSamplePublisher(client, attempt_s=PATIENCE_S).publish(requests(1))
            async with asyncio.timeout(PATIENCE_S), aclosing(reader.follow(*Kind, since=0)) as following:
                assert (await anext(following)).batch.number == 1
                assert isinstance(await anext(following), CaughtUp)
                broker.kill()
                with pytest.raises(MetricsUnavailable):
                    await publisher.publish(requests(2))
                broker.start()
                await eventually(lambda: _is_published(publisher, requests(3)))
                following_number = (await anext(following)).batch.number
                # The outcome of the second was unknown: it may be there.
                while following_number == 2:
                    following_number = (await anext(following)).batch.number
                assert following_number == 3
    finally:
        broker.stop()


async def _is_published(publisher, batch) -> bool:
    try:
        await publisher.publish(batch)
    except MetricsUnavailable:
        return False
    return True
