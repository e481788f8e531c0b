"""What becomes of a message whose handler failed."""

from types import SimpleNamespace
from typing import Any

import pytest
from faststream._internal.context.repository import ContextRepo
from faststream.exceptions import NackMessage, RejectMessage

from libs.common.bus.outcome import Outcome, retry_delay_s
from libs.common.errors import CannotApply, LogUnavailable


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


def a_message(reply: str, deliveries: int = 1) -> Any:
    raw = SimpleNamespace(
        subject="events.p.deployment.d.SpecRegistered",
        reply=reply,
        metadata=SimpleNamespace(num_delivered=deliveries),
    )
    return SimpleNamespace(raw_message=raw)


async def outcome_of(error: Exception, message: Any) -> object:
    async def handler(_: Any) -> None:
        raise error

    return await Outcome(None, context=ContextRepo()).consume_scope(handler, message)


async def test_a_permanent_failure_parks_the_message():
    with pytest.raises(RejectMessage):
        await outcome_of(CannotApply("never"), a_message("$JS.ACK.EVENTS.reconciler.1"))


@pytest.mark.parametrize(
    "error", [LogUnavailable("away"), ValueError("a bug")], ids=["temporary", "unexpected"]
)
async def test_any_other_failure_is_tried_again_later(error):
    with pytest.raises(NackMessage) as raised:
        await outcome_of(error, a_message("$JS.ACK.EVENTS.reconciler.3", deliveries=3))
    assert raised.value.extra_options == {"delay": pytest.approx(0.4)}


async def test_a_signal_that_cannot_be_handled_is_dropped():
    assert await outcome_of(ValueError("not json"), a_message("")) is None
