"""What a reader makes of events that a later version of Specstream has stored, over both adapters."""

import json
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.common.errors import AppendConflict
from libs.common.events.catalogue import CATALOGUE, encode
from libs.common.events.envelope import Aggregate, Draft
from libs.common.log.chain import envelope_hash
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.log.verify import Verified, verify
from libs.common.state.rollout import RolloutState
from libs.common.state.view import fold
from tests.support.event_logs import AnyLog
from tests.support.golden_facts import GOLDEN
from tests.support.names import CAUSE

ID = "a" * 32


async def stored(event_type: str, payload: dict[str, Any], schema: str | None = None) -> Stored:
    """One event of a known type with another payload, hashed as its writer would."""
    log = MemoryLog()
    fact = GOLDEN[event_type]
    await log.append([Draft(Aggregate("default", fact.aggregate, ID), fact)], heads={}, cause=CAUSE)
    (event,) = [event async for event in log.read_raw()]
    headers = {**event.headers, "ce-dataschema": schema or event.headers["ce-dataschema"]}
    data = json.dumps(payload).encode()
    headers["ce-hash"] = envelope_hash("", event.subject, headers, data)
    return replace(event, headers=headers, data=data)


def golden(event_type: str) -> dict[str, Any]:
    return json.loads(encode(GOLDEN[event_type]))


LATER = [
    pytest.param(
        "SpecFailed", {"reason": "later_reason"}, None, "reason: Input should be", id="another enum value"
    ),
    pytest.param(
        "SpecHealthy", {}, "urn:specstream:event:SpecHealthy:v2", "of the schema", id="another schema"
    ),
    pytest.param("SpecApplied", {"runs": "none"}, None, "runs: ", id="another type of field"),
]


@pytest.mark.parametrize(("event_type", "change", "schema", "says"), LATER)
async def test_what_it_cannot_understand_is_no_fact_and_is_said_once(
    any_log: AnyLog, event_type: str, change: dict, schema: str | None, says: str
):
    await any_log.restore([await stored(event_type, golden(event_type) | change, schema)], until=1)
    with capture_logs() as logs:
        for _ in range(2):
            events = [event async for event in any_log.read(">")]
            assert (await any_log.load(">")).events == tuple(events)
    assert events[0].fact is None
    assert says in events[0].unknown
    assert dict(events[0].data) == golden(event_type) | change
    (said,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert (said["event_type"], said["sequence"], says in said["reason"]) == (event_type, 1, True)
    view = fold(events)
    assert view is not None
    assert (view.rollout, view.sequence) == (RolloutState(), 1)
    assert isinstance(await verify(any_log.read_raw()), Verified)


@pytest.mark.parametrize(
    ("event_type", "path"),
    [
        pytest.param("SpecHealthy", ["added"], id="of the fact"),
        pytest.param("SpecRegistered", ["spec", "resources", "added"], id="of a part of its spec"),
        pytest.param("RosterRecorded", ["replicas", 1, "added"], id="of one of several parts"),
    ],
)
async def test_a_field_it_does_not_know_is_ignored_and_said_once(
    any_log: AnyLog, event_type: str, path: list[Any]
):
    payload = place = golden(event_type)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = {"by": "a later version"}
    await any_log.restore([await stored(event_type, payload)], until=1)
    with capture_logs() as logs:
        for _ in range(2):
            (event,) = [event async for event in any_log.read(">")]
    assert (event.fact, event.unknown) == (GOLDEN[event_type], "")
    (said,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert said["fields"] == [".".join(step for step in path if isinstance(step, str))]


@pytest.mark.parametrize("event_type", CATALOGUE)
async def test_nothing_is_said_of_what_is_understood(event_type: str):
    log = MemoryLog()
    await log.restore([await stored(event_type, golden(event_type))], until=1)
    with capture_logs() as logs:
        events = [event async for event in log.read(">")]
    assert events[0].fact == GOLDEN[event_type]
    assert logs == []


async def test_a_type_it_does_not_know_is_said(any_log: AnyLog):
    known = await stored("SpecHealthy", golden("SpecHealthy"))
    headers = {
        **known.headers,
        "ce-type": "LaterInvented",
        "ce-dataschema": "urn:specstream:event:LaterInvented:v1",
    }
    subject = known.subject.replace("SpecHealthy", "LaterInvented")
    headers["ce-hash"] = envelope_hash("", subject, headers, known.data)
    await any_log.restore([replace(known, subject=subject, headers=headers)], until=1)
    with capture_logs() as logs:
        (event,) = [event async for event in any_log.read(">")]
    assert (event.type, event.fact) == ("LaterInvented", None)
    assert [entry["event_type"] for entry in logs if entry["log_level"] == "warning"] == ["LaterInvented"]


@pytest.mark.parametrize(
    ("event_type", "last", "says"),
    [
        pytest.param("RosterRecorded", "RosterRecorded-1", "it is of page 0, not 1", id="another page"),
        pytest.param("RosterRecorded", "RosterRecorded", "it is of page 0, not None", id="no page"),
        pytest.param(
            "ReplicaStopped", "ReplicaStopped-0", "it is of page None, not 0", id="a page of what has none"
        ),
    ],
)
async def test_a_page_that_lies_under_another_subject_is_no_fact(
    any_log: AnyLog, event_type: str, last: str, says: str
):
    """It would hide the page that belongs there, or be hidden by it."""
    event = await stored(event_type, golden(event_type))
    subject = f"{event.subject.rpartition('.')[0]}.{last}"
    headers = {**event.headers, "ce-hash": envelope_hash("", subject, event.headers, event.data)}
    await any_log.restore([replace(event, subject=subject, headers=headers)], until=1)
    (read,) = [event async for event in any_log.read(">")]
    assert (read.subject, read.fact) == (subject, None)
    assert says in read.unknown


async def test_pages_are_guarded_with_the_facts_that_have_none(any_log: AnyLog):
    """They are one history, whatever their subjects are."""
    aggregate = Aggregate("default", "replica", ID)
    page, started = GOLDEN["RosterRecorded"], GOLDEN["ReplicaStarted"]
    drafts = [Draft(aggregate, page), Draft(aggregate, started)]
    first = await any_log.append(drafts, heads={}, cause=CAUSE)
    loaded = await any_log.load(aggregate.filter)
    assert [(event.type, event.page) for event in loaded.events] == [
        ("RosterRecorded", 0),
        ("ReplicaStarted", None),
    ]
    assert loaded.heads == first.heads
    for fact in (page, started):
        with pytest.raises(AppendConflict):
            await any_log.append([Draft(aggregate, fact)], heads={}, cause=CAUSE)
    await any_log.append([Draft(aggregate, page)], heads=first.heads, cause=CAUSE)
    with pytest.raises(AppendConflict):
        await any_log.append([Draft(aggregate, page)], heads=first.heads, cause=CAUSE)
    assert [event.sequence for event in (await any_log.load(aggregate.filter)).events] == [2, 3]
    assert isinstance(await verify(any_log.read_raw()), Verified)
