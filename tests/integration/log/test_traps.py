"""Each trap of JetStream that an event log can fall into, against a real server."""

import asyncio
import json
from base64 import b64decode
from contextlib import aclosing

import pytest
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import APIError

from libs.common.errors import AppendConflict, LogUnavailable
from libs.common.events.envelope import Aggregate, Draft
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import CaughtUp, Guard, Head
from libs.common.log.verify import Verified, verify
from tests.support.names import CAUSE, claim, name, release
from tests.support.nats_process import NatsProcess
from tests.support.nats_server import NatsEndpoint, connected, provisioned
from tests.support.polling import PATIENCE_S, eventually
from tests.support.tcp_proxy import TcpProxy, proxied


def log_of(client: Client, **options: float) -> JetStreamLog:
    return JetStreamLog(client, source="specstream/test", **options)


async def follow(log: JetStreamLog, seen: list[int]) -> None:
    """Follow from the start, and note the sequence of every event."""
    async with aclosing(log.follow(">", after=0)) as events:
        async for event in events:
            if not isinstance(event, CaughtUp):
                seen.append(event.sequence)  # noqa: PERF401 - the list is looked at meanwhile


async def ids(log: JetStreamLog) -> list[str]:
    return [event.headers["ce-id"] async for event in log.read_raw()]


class TestAcknowledgementLost:
    """The event is stored, and nobody says so: the append must come to know it, and store nothing twice."""

    @pytest.fixture
    async def proxy(self, nats_endpoint: NatsEndpoint):
        async with proxied(int(nats_endpoint.url.rpartition(":")[2])) as proxy:
            yield proxy

    @pytest.mark.parametrize(
        "drafts",
        [
            pytest.param([claim(name("a"), event_id="e1")], id="of one event"),
            pytest.param(
                [claim(name("a"), event_id="e1"), claim(name("b"), event_id="e2"), release(name("a"))],
                id="of a batch",
            ),
        ],
    )
    @pytest.mark.parametrize("is_overtaken", [False, True], ids=["nobody else wrote", "somebody wrote since"])
    async def test_is_found_out(
        self, proxy: TcpProxy, jetstream_log: JetStreamLog, drafts: list[Draft], is_overtaken: bool
    ):
        async with connected(proxy.url) as client:
            log = log_of(client, attempt_s=0.3)
            await log.last_sequence()
            proxy.loses_answers = True
            appending = asyncio.create_task(log.append(drafts, heads={}, cause=CAUSE))
            await eventually(jetstream_log.last_sequence)
            if is_overtaken:
                heads = (await jetstream_log.load(">")).heads
                await jetstream_log.append([claim(name("a"), "d2")], heads=heads, cause=CAUSE)
            await eventually(lambda: proxy.lost_bytes > 0)
            proxy.loses_answers = False
            result = await appending

        assert result.sequence == len(drafts)
        events = [event async for event in jetstream_log.read(">", until=len(drafts))]
        assert [event.event_id for event in events] == [draft.event_id for draft in drafts]
        assert result.heads == {event.aggregate: Head(event.sequence, event.hash) for event in events}
        assert await jetstream_log.last_sequence() == len(drafts) + is_overtaken

    async def test_and_the_connection_with_it(self, proxy: TcpProxy, jetstream_log: JetStreamLog):
        async with connected(proxy.url) as client:
            log = log_of(client, attempt_s=10 * PATIENCE_S, deadline_s=10 * PATIENCE_S)
            await log.last_sequence()
            proxy.loses_answers = True
            appending = asyncio.create_task(log.append([claim(name("a"))], heads={}, cause=CAUSE))
            await eventually(jetstream_log.last_sequence)
            proxy.loses_answers = False
            proxy.cut()
            async with asyncio.timeout(PATIENCE_S):
                assert (await appending).sequence == 1
        assert len(await ids(jetstream_log)) == 1

    async def test_and_somebody_else_was_first(self, proxy: TcpProxy, jetstream_log: JetStreamLog):
        await jetstream_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        async with connected(proxy.url) as client:
            log = log_of(client, attempt_s=0.3)
            await log.last_sequence()
            proxy.loses_answers = True
            appending = asyncio.create_task(log.append([claim(name("a"), "d2")], heads={}, cause=CAUSE))
            await eventually(lambda: proxy.lost_bytes > 0)
            proxy.loses_answers = False
            with pytest.raises(AppendConflict):
                await appending
        assert len(await ids(jetstream_log)) == 1

    async def test_for_ever_stays_unknown(self, proxy: TcpProxy, jetstream_log: JetStreamLog):
        async with connected(proxy.url) as client:
            # Long enough to send it once, whatever else keeps the machine busy.
            log = log_of(client, attempt_s=0.1, deadline_s=5)
            await log.last_sequence()
            proxy.loses_answers = True
            with pytest.raises(LogUnavailable, match="unknown"):
                await log.append([claim(name("a"))], heads={}, cause=CAUSE)
        assert len(await ids(jetstream_log)) == 1


class TestGuards:
    async def test_a_guard_on_a_name_of_one_project_does_not_see_another(self, jetstream_log: JetStreamLog):
        """A filter that misses what it should guard is accepted by the broker and guards nothing."""
        for project_id in ("p", "pp"):
            await jetstream_log.append([claim(Aggregate(project_id, "name", "a"))], heads={}, cause=CAUSE)
        with pytest.raises(AppendConflict):
            await jetstream_log.append([claim(Aggregate("p", "name", "a"))], heads={}, cause=CAUSE)

    async def test_every_message_of_an_aggregates_first_carries_its_guard(self, jetstream_log: JetStreamLog):
        await jetstream_log.append(
            [claim(name("a")), release(name("a")), claim(name("b"))],
            heads={},
            cause=CAUSE,
            guards=[Guard("events.default.project.default.>", 0)],
        )
        stored = [
            json.loads(
                (
                    await jetstream_log._link.request(
                        "$JS.API.STREAM.MSG.GET.EVENTS",
                        json.dumps({"seq": sequence}).encode(),
                        timeout_s=PATIENCE_S,
                    )
                ).data
            )
            for sequence in (1, 2, 3)
        ]
        headers = [b64decode(one["message"]["hdrs"]).decode() for one in stored]
        assert "Sequence-Subject: events.default.name.a.>" in headers[0]
        assert "Sequence-Subject: events.default.project.default.>" in headers[1]
        assert "Sequence-Subject: events.default.name.b.>" in headers[2]


class TestManyBatches:
    async def test_200_at_once_are_all_stored(self, nats_endpoint: NatsEndpoint, jetstream_log: JetStreamLog):
        """The broker refuses more than 50 open batches (10210): five processes stay below that."""
        async with connected(nats_endpoint.url) as other:
            logs = [jetstream_log, log_of(other)]
            results = await asyncio.gather(
                *(
                    logs[n % 2].append([claim(name(f"n{n}")), release(name(f"n{n}"))], heads={}, cause=CAUSE)
                    for n in range(200)
                )
            )
        assert sorted(result.sequence for result in results) == list(range(2, 402, 2))

    async def test_too_many_for_the_broker_are_tried_again(
        self, nats_endpoint: NatsEndpoint, jetstream_log: JetStreamLog
    ):
        async with connected(nats_endpoint.url) as hog:
            answers: asyncio.Queue[bytes] = asyncio.Queue()

            async def on_answer(message):
                await answers.put(message.data)

            inbox = hog.new_inbox()
            await hog.subscribe(inbox, cb=on_answer)
            for number in range(60):
                headers = {"Nats-Batch-Id": f"hog{number}", "Nats-Batch-Sequence": "1"}
                await hog.publish(
                    f"append.default.name.h{number}.NameClaimed", b"{}", reply=inbox, headers=headers
                )
            opened = [await answers.get() for _ in range(60)]
            assert any(b"10210" in answer for answer in opened)

            drafts = [claim(name("a")), release(name("a"))]
            async with asyncio.timeout(PATIENCE_S):
                result = await jetstream_log.append(drafts, heads={}, cause=CAUSE)
        assert result.sequence == 2


class TestNobodyCanChangeTheLog:
    async def test_its_events_cannot_be_purged_or_deleted(
        self, log_client: Client, jetstream_log: JetStreamLog
    ):
        await jetstream_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        jetstream = log_client.jetstream()
        for attempt in (jetstream.purge_stream("EVENTS"), jetstream.delete_msg("EVENTS", 1)):
            with pytest.raises(APIError):
                await attempt
        for headers in ({"Nats-Rollup": "all"}, {"Nats-TTL": "1s"}):
            with pytest.raises(APIError):
                await jetstream.publish("append.default.name.a.NameClaimed", b"{}", headers=headers)
        assert await jetstream_log.last_sequence() == 1

    async def test_what_is_not_an_event_does_not_get_in(
        self, jetstream_log: JetStreamLog, log_client: Client
    ):
        for subject in ("append.a", "append.default.name.a.b.c", "events.default.name.a.NameClaimed"):
            await log_client.publish(subject, b"{}")
        await log_client.flush()
        assert await jetstream_log.last_sequence() == 0

    async def test_an_event_that_nobody_understands_hinders_nobody(
        self, log_client: Client, jetstream_log: JetStreamLog
    ):
        await log_client.jetstream().publish("append.default.name.a.SomethingNew", b"not json")
        await jetstream_log.append([claim(name("b"))], heads={}, cause=CAUSE)
        events = [event async for event in jetstream_log.read(">")]
        assert [(event.type, event.fact is None) for event in events] == [
            ("SomethingNew", True),
            ("NameClaimed", False),
        ]


@pytest.fixture
def server(tmp_path):
    server = NatsProcess(tmp_path)
    server.start()
    yield server
    server.stop()


class TestServerKilled:
    async def test_in_the_middle_of_500_appends_every_acknowledged_one_is_there_once(
        self, server: NatsProcess
    ):
        async with connected(server.url) as client:
            await provisioned(client)
            log = log_of(client, attempt_s=1.0, deadline_s=PATIENCE_S)
            acknowledged: dict[str, int] = {}

            async def write(writer: int) -> None:
                heads: dict = {}
                for number in range(50):
                    drafts = [claim(name(f"w{writer}"), str(number)) for _ in range(1 + number % 2)]
                    result = await log.append(drafts, heads=heads, cause=CAUSE)
                    heads = result.heads
                    acknowledged.update(
                        {
                            draft.event_id: result.sequence - len(drafts) + 1 + at
                            for at, draft in enumerate(drafts)
                        }
                    )

            writing = asyncio.gather(*(write(writer) for writer in range(10)))
            await eventually(lambda: len(acknowledged) > 150)
            server.kill()
            server.start()
            await writing

            stored = {event.headers["ce-id"]: event.sequence async for event in log.read_raw()}
            assert stored == acknowledged
            assert len(stored) == 750
            assert isinstance(await verify(log.read_raw()), Verified)

    async def test_a_follower_goes_on_without_a_gap_or_a_repeat(self, server: NatsProcess):
        async with connected(server.url) as client, connected(server.url) as other:
            await provisioned(client)
            log = log_of(other, attempt_s=1.0, deadline_s=PATIENCE_S)
            seen: list[int] = []
            following = asyncio.create_task(follow(log_of(client), seen))
            heads: dict = {}
            for _ in range(3):
                for _ in range(20):
                    heads |= (await log.append([claim(name("a"))], heads=heads, cause=CAUSE)).heads
                server.kill()
                server.start()
            end = (await log.append([claim(name("a"))], heads=heads, cause=CAUSE)).sequence
            await eventually(lambda: end in seen)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        assert seen == list(range(1, end + 1))

    async def test_and_away_is_said_after_the_deadline(self, server: NatsProcess):
        async with connected(server.url) as client:
            log = log_of(client, attempt_s=0.2, deadline_s=0.5)
            server.kill()
            for request in (
                log.append([claim(name("a"))], heads={}, cause=CAUSE),
                log.load(">"),
                log.last_sequence(),
            ):
                with pytest.raises(LogUnavailable):
                    await request


class TestConsumerLost:
    async def test_without_a_word_is_noticed(self, log_client: Client, jetstream_log: JetStreamLog):
        """Somebody deletes the consumer: only its silence tells."""
        seen: list[int] = []
        following = asyncio.create_task(follow(jetstream_log, seen))
        jetstream = log_client.jetstream()

        async def ephemeral() -> api.ConsumerInfo | None:
            """Where the broker stood still there are two for a while, of which one is given up."""
            found = [one for one in await jetstream.consumers_info("EVENTS") if not one.config.durable_name]
            return found[0] if len(found) == 1 else None

        own = await eventually(ephemeral)
        await jetstream.delete_consumer("EVENTS", own.name)
        await jetstream_log.append([claim(name("a"))], heads={}, cause=CAUSE)
        await eventually(lambda: seen == [1])
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    async def test_leaves_nothing_behind(self, log_client: Client, jetstream_log: JetStreamLog):
        async with aclosing(jetstream_log.follow(">")) as events:
            await anext(events)
        jetstream = log_client.jetstream()

        async def is_clean() -> bool:
            return all(one.config.durable_name for one in await jetstream.consumers_info("EVENTS"))

        await eventually(is_clean, every_s=0.2)


class TestLatency:
    async def test_of_a_follower_is_a_few_round_trips(self, log_client: Client, jetstream_log: JetStreamLog):
        """An event is pushed to it. Round trips to the broker take longer where the machine is busy, too."""
        heads: dict = {}
        async with aclosing(jetstream_log.follow(">")) as events:
            await anext(events)
            waited = []
            for _ in range(50):
                arriving = asyncio.ensure_future(anext(events))
                heads |= (await jetstream_log.append([claim(name("a"))], heads=heads, cause=CAUSE)).heads
                trips = 0
                while not arriving.done():
                    await log_client.flush(timeout=PATIENCE_S)
                    trips += 1
                waited.append(trips)
        assert sorted(waited)[12] < 20, waited
