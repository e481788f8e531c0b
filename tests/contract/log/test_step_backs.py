"""The place of a moment in a log whose stored times step back, whichever adapter it is."""

import random
from datetime import timedelta
from itertools import pairwise

import pytest

from libs.common.clock import utc_now
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.log.timeline import Timeline
from tests.support.event_logs import AnyLog
from tests.support.names import CAUSE, claim, name

EVENTS = 60


async def stepping_back(seed: int) -> list[Stored]:
    """Events as another home stored them whose clock was set back now and then, some of them in batches."""
    draw = random.Random(seed)
    now = utc_now().replace(microsecond=0) - timedelta(days=1)

    def clock():
        nonlocal now
        now += timedelta(seconds=draw.choice([0, 0, 1, 2, 5, -3, -20]))
        return now

    log = MemoryLog(clock)
    heads: dict = {}
    while await log.last_sequence() < EVENTS:
        drafts = [claim(name("a"), str(n)) for n in range(draw.choice([1, 1, 3]))]
        heads |= (await log.append(drafts, heads=heads, cause=CAUSE)).heads
    return [event async for event in log.read_raw()]


@pytest.mark.parametrize("seed", range(5))
async def test_a_bisection_finds_what_a_scan_finds(any_log: AnyLog, seed: int):
    events = await stepping_back(seed)
    await any_log.restore(events, until=len(events))
    timeline = Timeline()
    shown = [timeline.take(event).time async for event in any_log.read(">")]
    stored = [event.time for event in events]
    assert stored != sorted(stored)
    assert shown == sorted(shown)
    ends = [event.sequence for event in events if _ends_an_append(event)]
    assert len(ends) < len(events)
    around = {time + timedelta(seconds=step) for time in stored for step in (-1, 0, 1)}
    found = []
    for moment in sorted(around):
        # The last event shown with that time or before, and the last append that is whole by then.
        last = max((place for place, time in enumerate(shown, 1) if time <= moment), default=0)
        expected = max((end for end in ends if end <= last), default=0)
        found.append(await any_log.sequence_at(moment, timeline=timeline))
        assert found[-1] == expected
    assert all(one <= other for one, other in pairwise(found))


async def test_what_is_appended_after_an_import_from_a_clock_that_was_ahead(any_log: AnyLog):
    ahead = utc_now() + timedelta(hours=1)
    original = MemoryLog(lambda: ahead)
    await original.append([claim(name("a"))], heads={}, cause=CAUSE)
    await any_log.restore([event async for event in original.read_raw()], until=1)
    await any_log.append([claim(name("b"))], heads={}, cause=CAUSE)
    timeline = Timeline()
    events = [timeline.take(event) async for event in any_log.read(">")]
    assert [event.time for event in events] == [events[0].time] * 2
    assert await any_log.sequence_at(utc_now(), timeline=timeline) == 0
    assert await any_log.sequence_at(ahead + timedelta(seconds=1), timeline=timeline) == 2


def _ends_an_append(event: Stored) -> bool:
    place, _, events = event.headers.get("ce-batch", "1/1").partition("/")
    return place == events
