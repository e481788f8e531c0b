"""Verify, export and import, over both adapters."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.clock import Clock, utc_now
from libs.common.errors import AppendConflict, BadRequest, Conflict
from libs.common.log.export import export, import_
from libs.common.log.head import LogHead
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.log.verify import Corrupt, Verified, verify
from tests.support.event_logs import AnyLog
from tests.support.names import CAUSE, claim, name, release


async def filled(log: AnyLog) -> AnyLog:
    """Six events of three aggregates: a | b a | a | c c."""
    heads: dict = {}
    for drafts in (
        [claim(name("a"))],
        [claim(name("b")), release(name("a"))],
        [claim(name("a"))],
        [claim(name("c")), release(name("c"))],
    ):
        heads |= (await log.append(drafts, heads=heads, cause=CAUSE)).heads
    return log


async def stream(items: list) -> AsyncIterator:
    for item in items:
        yield item


class TestVerify:
    async def test_an_empty_log_holds(self, any_log: AnyLog):
        result = await verify(any_log.read_raw())
        assert isinstance(result, Verified)
        assert str(result) == "0 events, 0 aggregates verified"

    async def test_says_how_much_it_has_verified(self, any_log: AnyLog):
        result = await verify((await filled(any_log)).read_raw(), at_least=6)
        assert str(result) == "6 events, 3 aggregates verified"

    async def test_a_log_that_ends_too_early_does_not_hold(self, any_log: AnyLog):
        result = await verify((await filled(any_log)).read_raw(), at_least=7)
        assert result == Corrupt(6, "the log ends here, before the checkpoint at 7")

    async def test_the_head_of_an_export_still_fits_when_the_log_has_grown(self, any_log: AnyLog):
        head = (await verify((await filled(any_log)).read_raw())).head
        await any_log.append([claim(name("z"))], heads={}, cause=CAUSE)
        assert isinstance(await verify(any_log.read_raw(), head=head), Verified)

    async def test_another_log_does_not_fit_the_head_of_an_export(self, any_log: AnyLog):
        await filled(any_log)
        other = (await verify((await filled(MemoryLog())).read_raw())).head
        assert await verify(any_log.read_raw(), head=other) == Corrupt(
            6, "the log up to here is not the one that was exported"
        )

    async def test_a_log_cut_before_an_exported_head_does_not_hold(self, any_log: AnyLog):
        head = (await verify((await filled(any_log)).read_raw())).head
        cut = [event async for event in any_log.read_raw(until=4)]
        assert await verify(stream(cut), head=head) == Corrupt(
            4, "the log ends here, before the last export at 6"
        )

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            pytest.param({"data": b'{"owner_id":"d2"}'}, "hash", id="other data"),
            pytest.param(
                {"subject": "events.default.name.q.NameClaimed"}, "contradict", id="another aggregate"
            ),
            pytest.param({"subject": "events.other.name.b.NameClaimed"}, "hash", id="another project"),
            pytest.param({"subject": "events.x"}, "not the subject", id="no event at all"),
            pytest.param({"ce-id": "x", "Nats-Msg-Id": "x"}, "hash", id="another id"),
            pytest.param({"ce-id": "x"}, "contradict", id="two ids"),
            pytest.param({"ce-type": "Other"}, "contradict", id="another type"),
            pytest.param({"ce-hash": "0" * 64}, "hash", id="another hash"),
            pytest.param({"headers": {}}, "contradict", id="no headers"),
            pytest.param({"sequence": 9}, "missing", id="a gap"),
        ],
    )
    async def test_names_the_event_that_has(self, any_log: AnyLog, changes: dict[str, Any], reason: str):
        """A change of a field, or of a header where there is no such field."""
        events = [event async for event in (await filled(any_log)).read_raw()]
        fields = {field: value for field, value in changes.items() if hasattr(events[1], field)}
        headers = {header: value for header, value in changes.items() if header not in fields}
        events[1] = replace(events[1], headers={**events[1].headers, **headers})
        events[1] = replace(events[1], **fields)
        result = await verify(stream(events))
        assert isinstance(result, Corrupt)
        assert result.sequence == events[1].sequence
        assert reason in result.reason

    async def test_an_event_twice_does_not_hold(self):
        log = await filled(MemoryLog())
        events = [event async for event in log.read_raw()]
        again = [*events, replace(events[0], sequence=7)]
        result = await verify(stream(again))
        assert isinstance(result, Corrupt)
        assert "its own" in result.reason

    @given(place=st.integers(0, 5), data=st.data())
    async def test_no_changed_byte_goes_unnoticed(self, place: int, data: st.DataObject):
        log = await filled(MemoryLog())
        events = [event async for event in log.read_raw()]
        event = events[place]
        at = data.draw(st.integers(0, len(event.data) - 1))
        changed = bytearray(event.data)
        changed[at] ^= data.draw(st.integers(1, 255))
        events[place] = replace(event, data=bytes(changed))
        result = await verify(stream(events))
        assert isinstance(result, Corrupt)
        assert result.sequence == event.sequence

    @given(place=st.integers(0, 4))
    async def test_no_removed_event_goes_unnoticed(self, place: int):
        events = [event async for event in (await filled(MemoryLog())).read_raw()]
        del events[place]
        renumbered = [replace(event, sequence=number) for number, event in enumerate(events, 1)]
        assert isinstance(await verify(stream(events)), Corrupt)
        head = (await verify((await filled(MemoryLog())).read_raw())).head
        assert isinstance(await verify(stream(renumbered), at_least=6, head=head), Corrupt)


class TestExportThenImport:
    @pytest.fixture
    async def exported(self, any_log: AnyLog) -> list[bytes]:
        return [line async for line in export(await filled(any_log))]

    async def test_gives_the_same_log(self, any_log: AnyLog, exported: list[bytes]):
        copy = MemoryLog()
        assert await import_(copy, stream(exported)) == 6
        assert [e async for e in copy.read_raw()] == [e async for e in any_log.read_raw()]
        assert [e async for e in copy.read(">")] == [e async for e in any_log.read(">")]
        assert await verify(copy.read_raw()) == await verify(any_log.read_raw())

    async def test_into_an_empty_log_of_each_kind(self, any_log: AnyLog):
        original = await filled(MemoryLog(clock=_years_ago()))
        lines = [line async for line in export(original)]
        assert await import_(any_log, stream(lines)) == 6

        assert [e async for e in any_log.read_raw()] == [e async for e in original.read_raw()]
        assert [e async for e in any_log.read(">")] == [e async for e in original.read(">")]
        for event in [e async for e in original.read(">")]:
            assert await any_log.sequence_at(event.time) == await original.sequence_at(event.time)
        assert [line async for line in export(any_log)] == lines

        heads = (await any_log.load(">")).heads
        await any_log.append([claim(name("a"))], heads=heads, cause=CAUSE)
        assert isinstance(await verify(any_log.read_raw()), Verified)

    async def test_of_a_long_log(self, any_log: AnyLog):
        original = MemoryLog()
        heads: dict = {}
        for _ in range(3):
            drafts = [claim(name(f"n{n % 50}"), str(n)) for n in range(700)]
            heads |= (await original.append(drafts, heads=heads, cause=CAUSE)).heads
        assert await import_(any_log, export(original)) == 2100
        assert [e async for e in any_log.read_raw()] == [e async for e in original.read_raw()]

    async def test_of_an_empty_log(self, any_log: AnyLog):
        lines = [line async for line in export(any_log)]
        assert len(lines) == 2
        assert await import_(any_log, stream(lines)) == 0

    async def test_keeps_what_is_not_text(self):
        strange = Stored(1, _years_ago()(), "events.p.name.a.Odd", {"ce-id": "1"}, b"\xff\x00")
        log = MemoryLog()
        await log.restore([strange], until=1)
        line = json.loads([line async for line in export(log)][1])
        assert base64.b64decode(line["data_base64"]) == b"\xff\x00"

    async def test_is_refused_by_a_log_with_events(self, any_log: AnyLog, exported: list[bytes]):
        with pytest.raises(Conflict, match="6 events"):
            await import_(any_log, stream(exported))

    @pytest.mark.parametrize(
        ("kept", "put", "line"),
        [
            pytest.param([], [], 1, id="an empty file"),
            pytest.param(range(1, 8), [], 1, id="no header"),
            pytest.param(
                range(1, 8), [(0, b'{"format":"specstream-log","version":3}')], 1, id="another version"
            ),
            pytest.param(range(7), [], 8, id="no end"),
            pytest.param([0, 1, 2, 3, 5, 6, 7], [], 5, id="an event missing"),
            pytest.param([0, 1, 2, 3, 4, 5, 7], [], 7, id="the last event missing"),
            pytest.param([*range(8), 1], [], 9, id="an event after the end"),
            pytest.param([0, 1, 2, 2, *range(3, 8)], [], 4, id="an event twice"),
            pytest.param([0, 1, 2, 4, 5, 6, 7], [(3, b"no json")], 4, id="no JSON"),
            pytest.param([0, 1, 2, 4, 5, 6, 7], [(3, b"[]")], 4, id="no object"),
            pytest.param([0, 1, 2, 4, 5, 6, 7], [(3, b'{"sequence": 3}')], 4, id="half an event"),
            pytest.param(
                range(7),
                [(7, b'{"head": {"sequence": 6, "events": 6, "digest": "0"}}')],
                8,
                id="another digest",
            ),
            pytest.param(range(7), [(7, b'{"head": 1}')], 8, id="no head"),
        ],
    )
    async def test_of_a_broken_file_changes_nothing_and_names_the_line(
        self, exported: list[bytes], kept: Iterable[int], put: list[tuple[int, bytes]], line: int
    ):
        lines = [exported[place] for place in kept]
        for place, content in put:
            lines.insert(place, content)
        copy = MemoryLog()
        with pytest.raises(BadRequest, match=f"line {line} ") as refused:
            await import_(copy, stream(lines))
        assert refused.value.issues[0].path == ("line", line)
        assert "`log export`" in refused.value.issues[0].allowed
        assert await copy.last_sequence() == 0

    @pytest.mark.parametrize(
        ("head", "reason"),
        [
            ({"version": 99}, "it is of version 99; this version of Specstream knows 1 and 2"),
            ({"sequence": 6}, "it has no 'events'"),
            ([], "no JSON object"),
        ],
    )
    async def test_says_why_the_last_line_is_no_head(self, exported: list[bytes], head: object, reason: str):
        lines = [*exported[:-1], json.dumps({"head": head}).encode()]
        with pytest.raises(BadRequest, match=f"line 8 is not a head: {reason}$"):
            await import_(MemoryLog(), stream(lines))

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param({"data": "{}"}, id="other data"),
            pytest.param({"time": "2026-01-01T00:00:00"}, id="a time without a zone"),
            pytest.param({"headers": {"ce-id": "x\r\ny"}}, id="a header of two lines"),
            pytest.param({"headers": {"x\r\ny": ""}}, id="a name of a header of two lines"),
            pytest.param({"headers": {"ce-id": 1}}, id="a header that is no text"),
            pytest.param({"headers": ["ce-id"]}, id="headers without values"),
            pytest.param({"subject": "events.x"}, id="another subject"),
            pytest.param({"subject": ["events"]}, id="a subject that is no text"),
            pytest.param({"data": None}, id="no data"),
        ],
    )
    async def test_of_a_file_with_a_wrong_event_names_its_line(self, exported: list[bytes], wrong: dict):
        exported[3] = json.dumps(json.loads(exported[3]) | wrong).encode()
        with pytest.raises(BadRequest, match="line 4 "):
            await import_(MemoryLog(), stream(exported))

    @pytest.mark.parametrize(
        ("ahead", "is_taken"), [(timedelta(hours=23), True), (timedelta(hours=25), False)]
    )
    async def test_of_events_from_ahead_of_the_clock(self, ahead: timedelta, is_taken: bool):
        """A clock may be ahead. But times never step back, so all later events would show such a time."""
        other, copy = MemoryLog(lambda: utc_now() + ahead), MemoryLog()
        await other.append([claim(name("a"))], heads={}, cause=CAUSE)
        if is_taken:
            assert await import_(copy, export(other)) == 1
        else:
            with pytest.raises(BadRequest, match=r"line 2 sequence 1: its time, .* is more than a day ahead"):
                await import_(copy, export(other))
            assert await copy.last_sequence() == 0

    async def test_of_a_file_that_somebody_has_laid_out_anew(self, any_log: AnyLog, exported: list[bytes]):
        lines = [json.dumps(json.loads(line), indent=2).encode() + b" \r\n" for line in exported]
        copy = MemoryLog()
        assert await import_(copy, stream(lines)) == 6
        assert [e async for e in copy.read_raw()] == [e async for e in any_log.read_raw()]

    async def test_ends_with_a_head_that_the_log_still_fits(self, any_log: AnyLog, exported: list[bytes]):
        head = LogHead(**json.loads(exported[-1])["head"])
        assert (head.sequence, head.events) == (6, 6)
        assert isinstance(await verify(any_log.read_raw(), head=head), Verified)


class TestRestore:
    async def test_only_right_after_the_end(self, any_log: AnyLog):
        events = [event async for event in (await filled(MemoryLog())).read_raw()]
        await any_log.restore(events[:2], until=6)
        for wrong in (events[:2], events[1:3], events[3:4]):
            with pytest.raises(AppendConflict):
                await any_log.restore(
                    [replace(e, headers={**e.headers, "ce-hash": "x", "Nats-Msg-Id": "y"}) for e in wrong],
                    until=6,
                )
        await any_log.restore(events[2:], until=6)
        assert [e async for e in any_log.read_raw()] == events

    async def test_takes_the_next_ones_while_others_are_on_their_way(self, any_log: AnyLog):
        events = [event async for event in (await filled(MemoryLog())).read_raw()]
        parts = (events[:2], events[2:3], events[3:5], events[5:])
        await asyncio.gather(*(any_log.restore(part, until=6) for part in parts))
        assert [e async for e in any_log.read_raw()] == events

    async def test_stores_nothing_behind_what_is_refused(self, any_log: AnyLog):
        events = [event async for event in (await filled(MemoryLog())).read_raw()]
        await any_log.restore(events[:2], until=6)
        refused = await asyncio.gather(
            any_log.restore(events[3:4], until=6),
            any_log.restore(events[4:6], until=6),
            return_exceptions=True,
        )
        assert [type(one) for one in refused] == [AppendConflict, AppendConflict]
        assert await any_log.last_sequence() == 2

    async def test_refuses_what_does_not_follow(self, any_log: AnyLog):
        events = [event async for event in (await filled(MemoryLog())).read_raw()]
        for wrong in ([], [events[0], events[2]], [events[1], events[0]]):
            with pytest.raises(ValueError):  # noqa: PT011 - each says something else
                await any_log.restore(wrong, until=6)


def _years_ago() -> Clock:
    moment = utc_now() - timedelta(days=1000)

    def clock() -> datetime:
        nonlocal moment
        moment += timedelta(milliseconds=7)
        return moment

    return clock
