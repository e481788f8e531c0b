"""The edge of the reconciler: a stored event wakes it, by its record."""

from datetime import UTC, datetime
from typing import Any

import pytest
from faststream.nats.testing import PatchedMessage
from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.bus.broker import make_broker
from libs.common.bus.pool import Pool
from libs.common.bus.settings import ServiceSettings
from libs.common.errors import CannotApply
from libs.common.events.deployment import DeploymentDeleted
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded
from libs.common.log import wire
from services.reconciler.handlers import make_pull
from tests.support.played_broker import STORED_AT, record_what_is_told, stored
from tests.support.polling import eventually

DELETED = Draft(Aggregate("default", "deployment", "d" * 32), DeploymentDeleted(name="demo"))
HEADERS = wire.event_headers(
    wire.cause_headers(
        Cause("key:default", "c"), source="specstream/api", now=datetime(2026, 1, 31, tzinfo=UTC)
    ),
    DELETED,
    "e" * 32,
    batch=None,
) | {wire.HASH: "2:h"}


@pytest.fixture
def told(monkeypatch) -> list[Any]:
    return record_what_is_told(monkeypatch)


async def handled(
    told: list[Any], subject: str, *, error: Exception | None = None, is_done: bool = False
) -> list[Recorded]:
    """What the reconciler is given of one message, when the broker has been told what became of it."""
    given: list[Recorded] = []

    async def on_change(event: Recorded) -> None:
        given.append(event)
        if error is not None:
            raise error

    broker = make_broker(ServiceSettings(), service="reconciler")
    async with Pool(on_change).open() as pool:
        pull = make_pull(broker, pool, service="reconciler", is_done=lambda _: is_done)
        place = stored(subjects.EVENTS_STREAM, subjects.RECONCILER_DURABLE, sequence=7)
        body = DELETED.fact.model_dump_json().encode()
        await pull.on_message(PatchedMessage(Client(), subject, place["reply_to"], body, HEADERS))
        await eventually(lambda: told)
    return given


async def test_an_event_is_given_as_its_record_and_answered_for_by_the_pool(told):
    [event] = await handled(told, DELETED.subject)
    assert (event.sequence, event.time, event.aggregate) == (7, STORED_AT, DELETED.aggregate)
    assert (event.fact, event.cause.actor, event.unknown) == (DELETED.fact, "key:default", "")
    assert told == ["ack"]


async def test_what_nothing_is_left_to_do_about_is_acknowledged_and_given_to_nobody(told):
    assert await handled(told, DELETED.subject, is_done=True) == []
    assert told == ["ack"]


async def test_what_it_raises_parks_the_message(told):
    await handled(told, DELETED.subject, error=CannotApply("never"))
    assert told == ["term"]


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        pytest.param(DELETED.subject.replace("d" * 32, "x"), "ce-subject", id="of another deployment"),
        pytest.param("events.too.short", "not the subject of an event", id="no event's"),
    ],
)
async def test_what_is_no_event_is_given_with_the_reason(told, subject, reason):
    [event] = await handled(told, subject)
    assert event.fact is None
    assert reason in event.unknown
    assert told == ["ack"]
