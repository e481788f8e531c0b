"""Whoever wants every event asks the broker for it in the one way that costs the same however many subjects
there are: with any other filter it walks over all of them, to tell how many events wait."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from nats.aio.client import Client

from libs.common.events.envelope import Aggregate, select
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import CaughtUp
from tests.support.names import CAUSE, claim, name
from tests.support.polling import eventually


@asynccontextmanager
async def asked(client: Client, subject: str) -> AsyncIterator[list[dict]]:
    """What is asked of the broker meanwhile."""
    requests: list[dict] = []

    async def on_request(message) -> None:
        requests.append(json.loads(message.data))

    subscription = await client.subscribe(subject, cb=on_request)
    await client.flush()
    yield requests
    await subscription.unsubscribe()


def assert_everything(requests: list[dict]) -> None:
    """Of each consumer: where the broker stood still another one was asked for."""
    assert [request["config"]["filter_subjects"] for request in requests] == [[">"]] * len(requests)


async def test_a_page_of_every_event(log_client: Client, jetstream_log: JetStreamLog) -> None:
    await jetstream_log.append([claim(name("a")), claim(name("b"))], heads={}, cause=CAUSE)
    for everything in (">", "events.>", select()):
        async with asked(log_client, "$JS.API.DIRECT.GET.EVENTS") as requests:
            read = [event.sequence async for event in jetstream_log.read(everything)]
            await eventually(lambda seen=requests: seen)
        assert read == [1, 2]
        assert {request["next_by_subj"] for request in requests if "next_by_subj" in request} == {">"}


async def test_following_every_event(log_client: Client, jetstream_log: JetStreamLog) -> None:
    await jetstream_log.append([claim(name("a"))], heads={}, cause=CAUSE)
    async with asked(log_client, "$JS.API.CONSUMER.CREATE.EVENTS.>") as requests:
        followed = []
        async with aclosing(jetstream_log.follow("events.>", after=0)) as following:
            async for item in following:
                if isinstance(item, CaughtUp):
                    break
                followed.append(item.sequence)
        await eventually(lambda: requests)
    assert followed == [1]
    assert_everything(requests)


async def test_following_several_kinds_after_an_event(
    log_client: Client, jetstream_log: JetStreamLog
) -> None:
    kinds = select(kind="project"), select(kind="deployment")
    projects = [claim(Aggregate("default", "project", one)) for one in ("a", "b")]
    await jetstream_log.append([claim(name("a")), projects[0], claim(name("b"))], heads={}, cause=CAUSE)
    async with asked(log_client, "$JS.API.CONSUMER.CREATE.EVENTS.>") as requests:
        followed = []
        async with aclosing(jetstream_log.follow(*kinds, after=1)) as following:
            async for item in following:
                followed.append(item.sequence)
                if isinstance(item, CaughtUp):
                    await jetstream_log.append([claim(name("c")), projects[1]], heads={}, cause=CAUSE)
                if item.sequence == 5:
                    break
        await eventually(lambda: requests)
    assert followed == [2, 3, 5], "the project, that it has caught up, and the other project"
    assert_everything(requests)
