"""What somebody made up is stored as it is, or refused: the broker is told nothing by it.

The hashes of a file can be computed anew for anything, so whoever may import chooses every byte.
"""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from libs.common.clock import utc_now
from libs.common.errors import BadRequest
from libs.common.log.export import import_
from libs.common.log.memory import MemoryLog
from libs.common.log.storable import LONGEST_SUBJECT, MOST_BYTES, MOST_HEADERS
from tests.support.event_logs import AnyLog
from tests.support.made_up import chained, lines_of, made_up
from tests.support.old_hashes import export_lines

NAMED = {"name": "x"}
SUBJECT = "events.default.nothing.a.Odd"


def of(odd_id: str):
    return made_up(f"events.default.nothing.{odd_id}.Odd", NAMED)


def with_header(name: str, value: str):
    return made_up(SUBJECT, NAMED, headers={name: value})


STORABLE = {
    "odd letters in an id": of("/etc/é$\u0001~"),
    "a long id": of("x" * (LONGEST_SUBJECT - len("events.default.nothing..Odd"))),
    "an unknown kind": made_up("events.p.nothing.x.Odd-007", b"\xff\x00\r\nPUB x 0\r\n"),
    "no payload": made_up(SUBJECT, b""),
    "an empty header": with_header("x", ""),
    "odd letters in a header": with_header("x-%s-'~", "a\x0b\u2028\x85b\x00é😀"),
    "many headers": made_up(
        SUBJECT,
        NAMED,
        headers={f"x{number}": "1" for number in range(5_000)},
    ),
    "large headers": with_header("x", "é" * (MOST_HEADERS // 2 - 1_000)),
    "a large payload": made_up(SUBJECT, b"x" * (MOST_BYTES - 1_000), headers={}),
    "long ago": made_up(SUBJECT, NAMED, time=datetime(1, 1, 1, tzinfo=UTC)),
}

UNSTORABLE = {
    "two lines in the subject": replace(of("a"), subject="events.p.nothing.a\r\nPUB x 0\r\n\r\n.X"),
    "a blank in the subject": of("a b"),
    "no project": made_up("events..nothing.a.Odd", NAMED),
    "no id": of(""),
    "every id": of("*"),
    "every type": made_up("events.default.nothing.a.>", NAMED),
    "a subject of a whole line": of("x" * LONGEST_SUBJECT),
    "a roll-up": with_header("Nats-Rollup", "all"),
    "a condition": with_header("Nats-Expected-Last-Sequence", "77"),
    "the end of an import": with_header("specstream-import-until", "7"),
    "an answer of the broker": with_header("Status", "404"),
    "a header in a header": with_header("a:b", "c"),
    "a header without a name": with_header("", "c"),
    "a header that is not ASCII": with_header("é", "c"),
    "space around a header": with_header("x", " c"),
    "larger headers": with_header("x", "é" * (MOST_HEADERS // 2)),
    "a larger payload": made_up(SUBJECT, b"x" * MOST_BYTES),
}


@pytest.mark.parametrize("event", STORABLE.values(), ids=STORABLE)
async def test_what_can_be_stored_comes_back_as_it_was(any_log: AnyLog, event):
    events = chained([of("before"), event, of("behind")])
    assert await import_(any_log, lines_of(events)) == 3
    assert [stored async for stored in any_log.read_raw()] == events


@pytest.mark.parametrize("event", UNSTORABLE.values(), ids=UNSTORABLE)
async def test_what_cannot_be_stored_is_refused_with_its_line(event):
    log = MemoryLog()
    with pytest.raises(BadRequest, match="line 3 cannot be stored as it is: "):
        await import_(log, lines_of([of("before"), event]))
    assert await log.last_sequence() == 0


async def test_a_message_that_is_no_event_has_an_id_of_its_own_too():
    """The broker would take it for the other one."""
    event = of("a")
    stranger = replace(of("b"), headers={"Nats-Msg-Id": event.headers["ce-id"], "ce-id": "x"})
    for events in ([event, stranger], [stranger, event]):
        with pytest.raises(BadRequest, match=r"line 3 sequence 2: its id .* is not its own"):
            await import_(MemoryLog(), lines_of(events))


async def test_a_time_that_utc_cannot_tell_is_refused():
    lines = export_lines(chained([replace(of("a"), time=datetime(1, 1, 1, tzinfo=UTC))]))
    early = [line.replace(b"0001-01-01T00:00:00.000000Z", b"0001-01-01T00:00:00+14:00") for line in lines]
    assert early != lines

    async def given():
        for line in early:
            yield line

    with pytest.raises(BadRequest, match="line 2 is not an event"):
        await import_(MemoryLog(), given())


A, B = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    "subject",
    [
        f"events.default.deployment.{A}.DeploymentCreated",
        f"events.{B}.rollout.{A}.WorkloadRemoved",
        f"events._team.project.{B}.ProjectCreated",
        "events.default.project.default.ProjectRenamed",
        "events._team.router.router-2.RouterJoined",
        "events.default.nothing./etc/passwd.Odd",
    ],
)
async def test_ids_that_can_have_been_made_are_taken(subject):
    assert await import_(MemoryLog(), lines_of([made_up(subject, NAMED)])) == 1


@pytest.mark.parametrize("kind", ["deployment", "rollout", "replica", "traffic", "scaling"])
@pytest.mark.parametrize(
    "deployment_id", ["/etc/x", "a/b", "%2e%2e", "é", "A" * 32, "a" * 33, "default", "_", "x" * 300, "\0"]
)
async def test_a_deployment_whose_id_nobody_has_made_is_refused(kind, deployment_id):
    event = made_up(f"events.default.{kind}.{deployment_id}.Odd", NAMED)
    with pytest.raises(BadRequest, match=r"line 2 sequence 1: .* is not the id of a deployment: 32 hex"):
        await import_(MemoryLog(), lines_of([event]))


@pytest.mark.parametrize(
    "subject", [f"events./etc/x.deployment.{A}.DeploymentCreated", "events._team.project.x.ProjectCreated"]
)
async def test_a_project_whose_id_nobody_has_made_is_refused(subject):
    with pytest.raises(BadRequest, match=r"line 2 sequence 1: .* is not the id of a project: 32 hex"):
        await import_(MemoryLog(), lines_of([made_up(subject, NAMED)]))


async def test_a_message_that_is_no_event_may_lie_anywhere():
    """Nobody takes it for a fact, and a log that somebody has put it into can still be restored."""
    stranger = made_up("events.default.deployment./etc/x.DeploymentCreated", NAMED, headers={"ce-type": "x"})
    assert await import_(MemoryLog(), lines_of([stranger])) == 1


@pytest.mark.parametrize(
    ("batch", "whole"),
    [("1/1", 2), ("1/2", 1), ("2/2", 2), ("7/9", 0), ("0/2", 2), ("3/2", 2), ("1/" + "9" * 5_000, 2)],
)
async def test_the_past_can_be_asked_for_whatever_an_event_says_of_its_append(
    any_log: AnyLog, batch: str, whole: int
):
    odd = made_up(SUBJECT, NAMED, headers={"ce-batch": batch})
    await import_(any_log, lines_of([of("before"), odd]))
    assert await any_log.sequence_at(utc_now()) == whole
