"""What the link sends by private methods of the client is what the client's own `publish` sends."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.common.clock import monotonic
from libs.common.log.jetstream.link import Link
from tests.support.polling import PATIENCE_S, eventually


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"ce-id": "1"}, id="one"),
        pytest.param({f"ce-a{number}": f"value {number}" for number in range(15)}, id="as many as an event"),
        pytest.param({"ce-source": "/ci: ü", "traceparent": "00-a-b-01"}, id="a colon and more than ASCII"),
    ],
)
async def test_a_message_with_headers_arrives_as_by_the_client_itself(log_client: Client, headers):
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    subscription = await log_client.subscribe("apart.>", cb=hear)
    await log_client.publish("apart.a", b"body", reply="apart.reply", headers=headers)
    await Link(log_client, ticks=monotonic).publish("apart.a", b"body", reply="apart.reply", headers=headers)
    await eventually(lambda: len(heard) == 2)
    await subscription.unsubscribe()
    by_client, by_link = ((one.subject, one.reply, one.headers, one.data) for one in heard)
    assert by_link == by_client


async def test_a_message_is_flushed_without_another_one_after_it(log_client: Client):
    heard = asyncio.get_running_loop().create_future()
    subscription = await log_client.subscribe("apart.>", future=heard)
    await Link(log_client, ticks=monotonic).publish("apart.b", b"body", headers={"ce-id": "1"})
    assert (await asyncio.wait_for(heard, PATIENCE_S)).data == b"body"
    await subscription.unsubscribe()


@pytest.mark.parametrize(
    ("subject", "headers"),
    [
        pytest.param("apart.c\r\nPUB apart.forged 0\r\n\r\n", {"ce-id": "1"}, id="two lines in the subject"),
        pytest.param("apart.c apart.forged", {"ce-id": "1"}, id="a blank in the subject"),
        pytest.param("", {"ce-id": "1"}, id="no subject"),
        pytest.param("apart.c", {"ce-id\r\nother": "1"}, id="two lines in the name of a header"),
    ],
)
async def test_nothing_is_sent_that_would_end_the_line_it_stands_in(log_client: Client, subject, headers):
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    subscription = await log_client.subscribe("apart.>", cb=hear)
    link = Link(log_client, ticks=monotonic)
    with pytest.raises(ValueError, match=r"no subject|not one line"):
        await link.publish(subject, b"body", headers=headers)
    await link.publish("apart.last", b"body", headers={"ce-id": "1\r\n2"})
    await eventually(lambda: "apart.last" in heard)
    await subscription.unsubscribe()
    assert heard == ["apart.last"]
