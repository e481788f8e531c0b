"""What METRICS holds when an autoscaler starts: all of it is read before anything is decided."""

import asyncio
import itertools

import pytest

from libs.common.clock import utc_now
from libs.common.log.memory import MemoryLog
from libs.common.metrics.port import MemorySamples, Received
from libs.common.metrics.samples import Batch, Kind
from services.autoscaler.loop import STORED_WAITS_S, STORED_WITHIN_S, is_history
from tests.support.autoscaling import Autoscaler, Source, decisions, deployed
from tests.support.polling import eventually, let_others_run


@pytest.fixture
def log():
    return MemoryLog()


class Slowly(MemorySamples):
    """Others have many turns between two of its answers."""

    is_away = False

    async def follow(self, *kinds, since, only=None):
        async for item in super().follow(*kinds, since=since, only=only):
            await let_others_run(30)
            if self.is_away:
                await asyncio.Event().wait()
            yield item


async def test_what_was_so_before_a_start_is_not_decided_about_while_later_measurements_are_still_read(log):
    samples = Slowly()
    story, source = await deployed(log), Source(samples)
    for percent in (500, 50):
        await source.use(story.deployment_id, "r1", percent=percent)
    # As if no time passed: what does not come for two seconds is not waited for.
    async with Autoscaler(log, samples, ticks=lambda: 5000.0).running() as autoscaler:
        await eventually(lambda: autoscaler.progress.detail.get("unknown") == 0)
        await let_others_run(100)
        assert await decisions(log) == []
        await source.use(story.deployment_id, "r1", percent=84)
        assert len(await eventually(lambda: decisions(log))) == 1


async def test_measurements_that_do_not_come_are_not_waited_for(log):
    now, samples = [5000.0], Slowly()
    samples.is_away = True
    await deployed(log)
    async with Autoscaler(log, samples, ticks=lambda: now[0]).running() as autoscaler:
        await eventually(lambda: autoscaler.progress.is_ready)
        await let_others_run(100)
        assert "unknown" not in autoscaler.progress.detail
        now[0] += STORED_WAITS_S
        await eventually(lambda: autoscaler.progress.detail.get("unknown") == 1)


async def test_measurements_that_never_end_are_not_waited_for_either(log):
    now = [5000.0]

    class Endless(MemorySamples):
        async def follow(self, *_, **__):
            for number in itertools.count(1):
                await let_others_run(5)
                now[0] += 0.5
                yield Received(Batch(**EMPTY, number=number), utc_now().timestamp(), number)

    await deployed(log)
    async with Autoscaler(log, Endless(), ticks=lambda: now[0]).running() as autoscaler:
        await eventually(lambda: autoscaler.progress.detail.get("unknown") == 1)
        assert now[0] - 5000.0 >= STORED_WITHIN_S


EMPTY = {"kind": Kind.USAGE, "source": "health", "counter_id": "h", "interval_s": 15, "ended_at": 0}


@pytest.mark.parametrize(
    ("kind", "interval_s", "age_s", "expected"),
    [
        pytest.param(Kind.USAGE, 15, 164, False, id="all of its minute may be needed"),
        pytest.param(Kind.USAGE, 15, 166, True, id="it was measured again since, or is not there"),
        pytest.param(Kind.USAGE, 300, 900, False, id="measured seldom"),
        pytest.param(Kind.REQUESTS, 5, 400, False, id="totals are subtracted from later ones"),
        pytest.param(Kind.IN_FLIGHT, 1, 400, False, id="averages look back"),
    ],
)
def test_of_what_replicas_used_only_the_newest_is_taken_in(kind, interval_s, age_s, expected):
    batch = Batch(**EMPTY | {"kind": kind, "interval_s": interval_s}, number=1)
    assert is_history(Received(batch, 1000.0, 1), wall=1000.0 + age_s) is expected
