"""The exact form of an event on the wire: others read it too, so it must not change by accident."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.name import NameClaimed
from libs.common.ids import new_id
from libs.common.log import wire
from libs.common.log.port import Guard, Head
from libs.common.log.sealing import seal

NOW = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
NAME = Aggregate("default", "name", "a1b2")
CAUSE = Cause("key:default", "corr", "cause", "00-aa-bb-01")
DRAFT = Draft(NAME, NameClaimed(parent="default", name="web", owner_id="d1"), event_id="e1")


def sealed(*drafts: Draft, cause: Cause = CAUSE):
    return seal(drafts, heads={}, guards=[], cause=cause, source="specstream/api", now=NOW, fresh_id=new_id)


def test_an_event_on_the_wire():
    [event] = sealed(DRAFT)
    assert event.subject == "events.default.name.a1b2.NameClaimed"
    assert event.data == b'{"parent":"default","name":"web","owner_id":"d1"}'
    assert event.guard == Guard("events.default.name.a1b2.>", 0)
    assert event.headers == {
        "ce-specversion": "1.0",
        "ce-id": "e1",
        "ce-source": "specstream/api",
        "ce-type": "NameClaimed",
        "ce-subject": "a1b2",
        "ce-time": "2026-01-31T12:00:00.123456Z",
        "ce-dataschema": "urn:specstream:event:NameClaimed:v1",
        "ce-actor": "key:default",
        "ce-correlationid": "corr",
        "ce-causationid": "cause",
        "ce-hash": "2:4da5caf91767e00b614a14d573ae883bc408efc565dfe088a725bdfb8a8c8cc9",
        "content-type": "application/json",
        "traceparent": "00-aa-bb-01",
        "Nats-Msg-Id": "e1",
    }


def test_what_the_cause_does_not_have_is_not_on_the_wire():
    [event] = sealed(DRAFT, cause=Cause("key:default", "corr"))
    assert not {"ce-causationid", "traceparent"} & set(event.headers)


def test_events_of_one_append_know_their_place():
    drafts = [DRAFT, Draft(NAME, DRAFT.fact), Draft(NAME, DRAFT.fact)]
    assert [event.headers["ce-batch"] for event in sealed(*drafts)] == ["1/3", "2/3", "3/3"]


def test_the_first_of_an_aggregate_carries_its_guard_and_a_later_one_that_of_another():
    other = Aggregate("default", "name", "c3d4")
    drafts = [Draft(aggregate, DRAFT.fact) for aggregate in (NAME, NAME, other, other, NAME)]
    guards = [Guard("events.default.project.default.>", 7), Guard("events.default.key.k.>", 0)]
    events = seal(
        drafts, heads={other: Head(5, "x")}, guards=guards, cause=CAUSE, source="s", now=NOW, fresh_id=new_id
    )
    assert [event.guard for event in events] == [
        Guard(NAME.filter, 0),
        guards[0],
        Guard(other.filter, 5),
        guards[1],
        None,
    ]


def test_there_and_back():
    [event] = sealed(DRAFT)
    recorded = wire.to_recorded(7, NOW, event.subject, event.headers, event.data)
    assert (recorded.sequence, recorded.time, recorded.aggregate) == (7, NOW, NAME)
    assert (recorded.type, recorded.event_id, recorded.fact) == ("NameClaimed", "e1", DRAFT.fact)
    assert (recorded.cause, recorded.hash) == (CAUSE, event.hash)


def test_a_message_without_headers_is_still_an_event():
    recorded = wire.to_recorded(1, NOW, "events.p.name.a.Odd", {}, b"\xff")
    assert (recorded.fact, dict(recorded.data), recorded.cause) == (None, {}, Cause("", ""))


def test_an_imported_event_keeps_its_time():
    headers = {"ce-id": "e1", "Nats-Msg-Id": "e1", "Nats-Batch-Id": "x", wire.IMPORTED_TIME: NOW.isoformat()}
    later = NOW + timedelta(days=1)
    stored = wire.to_stored(1, later, "events.p.name.a.Odd", headers, b"")
    assert stored.time == NOW
    assert stored.headers == {"ce-id": "e1", "Nats-Msg-Id": "e1"}
    assert wire.to_recorded(1, later, "events.p.name.a.Odd", headers, b"").time == NOW


@pytest.mark.parametrize("fraction", ["123456789", "123456000", "123456"])
def test_both_forms_of_the_stream_s_time_are_cut_to_the_same_microsecond(fraction: str):
    spelled = datetime.fromisoformat(f"2026-01-31T12:00:00.{fraction}Z")
    nanoseconds = int(NOW.replace(microsecond=0).timestamp()) * 10**9 + int(fraction.ljust(9, "0"))
    assert wire.from_nanoseconds(nanoseconds) == spelled == NOW
