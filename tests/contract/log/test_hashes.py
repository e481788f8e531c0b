"""What the chain of an aggregate covers, in both versions of its hash, over both adapters (promise 11)."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.errors import BadRequest
from libs.common.events.envelope import Cause
from libs.common.log.chain import envelope, envelope_hash
from libs.common.log.export import export, import_
from libs.common.log.head import LogHead
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.log.verify import Corrupt, Verified, verify
from tests.support.event_logs import AnyLog
from tests.support.names import CAUSE, claim, name, release
from tests.support.old_hashes import export_lines, with_hashes_of_version_1

Edit = Callable[[Stored], Stored]


async def filled() -> list[Stored]:
    """Four events of two aggregates: a | a b | a."""
    log = MemoryLog()
    heads: dict = {}
    for drafts in ([claim(name("a"))], [release(name("a")), claim(name("b"))], [claim(name("a"))]):
        heads |= (await log.append(drafts, heads=heads, cause=CAUSE)).heads
    return [event async for event in log.read_raw()]


async def stream(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def header(header_name: str, value: str | None) -> Edit:
    """With a header of this value; without it for None."""

    def edit(event: Stored) -> Stored:
        headers = {n: v for n, v in event.headers.items() if n != header_name}
        return replace(event, headers=headers if value is None else {**headers, header_name: value})

    return edit


EDITS = [
    pytest.param(header("ce-actor", "key:somebody"), id="actor"),
    pytest.param(header("ce-actor", None), id="no actor"),
    pytest.param(header("ce-time", "2026-01-01T00:00:00.000000Z"), id="time"),
    pytest.param(header("ce-source", "specstream/other"), id="source"),
    pytest.param(header("ce-correlationid", "other"), id="correlation"),
    pytest.param(header("ce-causationid", "other"), id="causation"),
    pytest.param(header("ce-causationid", None), id="no causation"),
    pytest.param(header("traceparent", "00-cc-dd-01"), id="trace"),
    pytest.param(header("ce-batch", "1/1"), id="place in its batch"),
    pytest.param(header("ce-dataschema", "urn:specstream:event:NameReleased:v2"), id="schema"),
    pytest.param(header("ce-claimedsource", "ci"), id="a header of a later version"),
    pytest.param(header("content-type", "text/plain"), id="content type"),
    pytest.param(lambda event: replace(event, data=event.data + b" "), id="payload"),
]


class TestAnEdit:
    @pytest.mark.parametrize("edit", EDITS)
    async def test_is_found_by_verify(self, edit: Edit):
        events = await filled()
        events[1] = edit(events[1])
        result = await verify(stream(events))
        assert isinstance(result, Corrupt)
        assert (result.sequence, "hash" in result.reason) == (2, True)

    @pytest.mark.parametrize("edit", EDITS)
    async def test_of_an_export_is_refused_by_an_import_even_with_a_head_that_fits(self, edit: Edit):
        events = await filled()
        events[1] = edit(events[1])
        with pytest.raises(BadRequest, match=r"line 3 sequence 2: its hash"):
            await import_(MemoryLog(), stream(export_lines(events)))

    async def test_of_the_time_when_an_event_was_stored_is_refused_by_an_import(self):
        lines = [line async for line in export(await restored(MemoryLog(), await filled()))]
        wire = json.loads(lines[2])
        lines[2] = json.dumps(wire | {"time": "2026-01-01T00:00:00Z"}).encode()
        with pytest.raises(BadRequest, match=r"line 6 the digest does not fit"):
            await import_(MemoryLog(), stream(lines))

    async def test_of_the_time_when_an_event_was_stored_is_found_against_the_head_of_an_export(self):
        events = await filled()
        head = (await verified(events)).head
        events[1] = replace(events[1], time=events[1].time - timedelta(seconds=1))
        assert await verify(stream(events), head=head) == Corrupt(
            4, "the log up to here is not the one that was exported"
        )

    async def test_of_what_only_speaks_to_the_broker_changes_nothing(self):
        events = await filled()
        for said in ("Nats-Expected-Last-Sequence", "specstream-imported-time"):
            events[1] = header(said, "7")(events[1])
        assert (await verified(events)).head == (await verified(await filled_again(events))).head


class TestBothVersions:
    async def test_a_log_of_version_1_verifies_and_goes_on_in_version_2(self, any_log: AnyLog):
        await restored(any_log, with_hashes_of_version_1(await filled()))
        assert isinstance(await verify(any_log.read_raw()), Verified)
        heads = (await any_log.load(">")).heads
        await any_log.append([claim(name("b")), claim(name("c"))], heads=heads, cause=CAUSE)
        assert isinstance(await verify(any_log.read_raw()), Verified)
        versions = [event.headers["ce-hash"].count(":") async for event in any_log.read_raw()]
        assert versions == [0, 0, 0, 0, 1, 1]

    async def test_a_chain_never_steps_back(self):
        events = await filled()
        events[3] = with_hashes_of_version_1([*events[:3], events[3]])[3]
        assert "steps back to version 1" in str(await verify(stream(events)))

    async def test_a_hash_of_a_later_version_is_named_as_such(self):
        events = await filled()
        events[2] = header("ce-hash", "3:" + "0" * 64)(events[2])
        result = await verify(stream(events))
        assert isinstance(result, Corrupt)
        assert (result.sequence, "version '3'" in result.reason) == (3, True)

    async def test_the_head_of_an_earlier_export_still_fits_after_the_upgrade(self, any_log: AnyLog):
        old = with_hashes_of_version_1(await filled())
        head = LogHead.from_wire(json.loads(export_lines(old, version=1)[-1])["head"])
        assert head.version == 1
        await restored(any_log, old)
        await any_log.append([claim(name("c"))], heads={}, cause=CAUSE)
        assert isinstance(await verify(any_log.read_raw(), head=head), Verified)
        wrong = replace(head, digest="0" * 64)
        assert isinstance(await verify(any_log.read_raw(), head=wrong), Corrupt)

    async def test_an_export_of_version_1_is_imported(self, any_log: AnyLog):
        old = with_hashes_of_version_1(await filled())
        assert await import_(any_log, stream(export_lines(old, version=1))) == 4
        assert [event async for event in any_log.read_raw()] == old

    async def test_a_file_that_calls_itself_old_is_not_checked_less(self):
        with pytest.raises(BadRequest, match=r"line 2 .*later version than its file"):
            await import_(MemoryLog(), stream(export_lines(await filled(), version=1)))

    async def test_a_file_with_another_version_of_head_is_refused(self):
        lines = export_lines(await filled())
        lines[0] = b'{"format":"specstream-log","version":1}'
        with pytest.raises(BadRequest, match="line 2 "):
            await import_(MemoryLog(), stream(lines))

    async def test_a_file_of_a_later_version_names_those_that_can_be_read(self):
        lines = [b'{"format":"specstream-log","version":3}']
        with pytest.raises(BadRequest, match="version 3; this Specstream reads 1 and 2"):
            await import_(MemoryLog(), stream(lines))


def test_other_programs_can_compute_it():
    headers = {"ce-type": "T", "ce-id": "1", "Nats-Msg-Id": "1", "ce-hash": "x", "traceparent": "y"}
    parts = [b"2:ab", b"events.p.k.i.T", b"ce-id:1\nce-type:T\ntraceparent:y\n", b"{}"]
    by_hand = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()
    assert envelope_hash("2:ab", "events.p.k.i.T", headers, b"{}") == f"2:{by_hand}"


@given(
    headers=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=5), st.text(st.characters(codec="utf-8"), max_size=5)
    )
)
def test_whatever_the_headers_are_called(headers: dict[str, str]):
    """In an export anything may stand."""
    names = {name for name in headers if not name.lower().startswith(("nats-", "specstream-"))}
    by_hand = "".join(f"{name}:{headers[name]}\n" for name in sorted(names - {"ce-hash"}))
    assert envelope(headers) == by_hand.encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
@given(text=st.text(st.characters(codec="utf-8"), max_size=20))
async def test_whatever_a_cause_says_is_covered_as_it_is_stored(any_log: AnyLog, text: str):
    end = await any_log.last_sequence()
    heads = (await any_log.load(name("a").filter)).heads
    await any_log.append([claim(name("a"))], heads=heads, cause=Cause(text, text, text, text))
    assert isinstance(await verify(any_log.read_raw(), at_least=end + 1), Verified)


async def restored(log: AnyLog, events: list[Stored]) -> AnyLog:
    await log.restore(events, until=events[-1].sequence)
    return log


async def verified(events: list[Stored]) -> Verified:
    result = await verify(stream(events))
    assert isinstance(result, Verified)
    return result


async def filled_again(events: list[Stored]) -> list[Stored]:
    """The events without what only spoke to the broker."""
    kept = ("ce-", "traceparent", "content-type", "Nats-Msg-Id")
    return [
        replace(event, headers={n: v for n, v in event.headers.items() if n.startswith(kept)})
        for event in events
    ]
