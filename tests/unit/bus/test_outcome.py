"""What becomes of a message whose handler failed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from faststream.exceptions import RejectMessage
from faststream.nats import NatsBroker, TestNatsBroker

from libs.common.bus.broker import make_broker
from libs.common.bus.consume import signal_subscriber, work_subscriber
from libs.common.bus.delivered import Delivered
from libs.common.bus.outcome import retry_delay_s
from libs.common.bus.settings import ServiceSettings
from libs.common.errors import CannotApply, LogUnavailable
from tests.support.played_broker import record_what_is_told, stored


@pytest.mark.parametrize(
    ("deliveries", "delay_s"),
    [
        pytest.param(1, 0.1, id="the first retry comes soon"),
        pytest.param(2, 0.2, id="then it doubles"),
        pytest.param(7, 6.4, id="and doubles"),
        pytest.param(8, 10.0, id="up to ten seconds"),
        pytest.param(10_000, 10.0, id="and stays there"),
    ],
)
def test_retry_delay(deliveries, delay_s):
    assert retry_delay_s(deliveries) == pytest.approx(delay_s)


@pytest.fixture
def told(monkeypatch) -> list[Any]:
    return record_what_is_told(monkeypatch)


@asynccontextmanager
async def working(error: Exception | None, *, where: str) -> AsyncIterator[NatsBroker]:
    """A service whose handler, or decoder, of `work.*` raises; and whose handler of a signal does."""
    broker = make_broker(ServiceSettings(), service="worker")

    def fail(at: str) -> None:
        if error is not None and at == where:
            raise error

    def read(delivered: Delivered) -> Delivered:
        fail("decoder")
        return delivered

    worker = work_subscriber(
        broker, "work.*", read, stream="WORK", durable="w", service="worker", title="", description=""
    )

    @worker
    async def on_work(_: Any) -> None:
        fail("handler")

    @signal_subscriber(broker, "signals.*", lambda _, body: body)
    async def on_signal(_: Any) -> None:
        fail("signal")

    async with TestNatsBroker(broker):
        yield broker


@pytest.mark.parametrize("where", ["handler", "decoder"])
@pytest.mark.parametrize(
    ("error", "answer"),
    [
        pytest.param(None, "ack", id="none"),
        pytest.param(CannotApply("never"), "term", id="a permanent failure parks the message"),
        pytest.param(
            LogUnavailable("away"), ("nak", pytest.approx(0.4)), id="a temporary one is tried again"
        ),
        pytest.param(ValueError("a bug"), ("nak", pytest.approx(0.4)), id="so is an unexpected one"),
        pytest.param(RejectMessage(), "term", id="a handler may say so itself"),
    ],
)
async def test_the_broker_is_told_once_of_every_message(told, where, error, answer):
    async with working(error, where=where) as broker:
        await broker.publish(b"1", "work.a", **stored("WORK", "w", deliveries=3))
    assert told == [answer]


async def test_a_signal_that_cannot_be_handled_is_dropped(told):
    async with working(ValueError("not json"), where="signal") as broker:
        await broker.publish(b"1", "signals.a")
    assert told == []
