"""Deployments follow their load while the platform's parts are killed and what it measures is lost.

It holds promises 1, 3 and 5: whatever is killed, the number in force stays as the same load had it before, no
replica leaves while nothing is measured, and only Envoy's own death costs calls.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import pytest

from libs.common.bus import subjects
from libs.common.clock import utc_now
from libs.common.events.scaling import ReplicasDecided
from tests.e2e.test_autoscaling import MACHINE_TYPES, QUICK
from tests.support.decided_again import decided_again
from tests.support.live_platform import LivePlatform, load
from tests.support.nats_users import connected_as
from tests.support.polling import PATIENCE_S, eventually, let_time_pass
from tests.support.recorded_calls import Call, Caller

PARTS = ("envoy", "nats", "router", "health", "autoscaler")
BY_CPU = {
    "maxReplicas": 2,
    "metrics": [{"metric": "cpu", "summary": "average", "value": 50}],
    # Longer than Envoy may be away: meanwhile there is no load, and that is measured.
    "behavior": {**QUICK, "scaleDown": {**QUICK["scaleDown"], "stabilizationWindowSeconds": 20}},
}
WINDOW_S = 20
"""Long enough for Envoy to be away for six seconds of it, without which two replicas would do."""
IN_FLIGHT = {
    "maxReplicas": 4,
    "concurrency": {
        "target": 2,
        "targetUtilizationPercentage": 100,
        "windowSeconds": WINDOW_S,
        "scaleDownDelaySeconds": 2,
    },
}
WORK_S = 0.03
"""Of a processor, by each call: some more than half of one, where an eighth makes a second replica."""
LANES, SLEEP_S = 6, 0.5
ENOUGH = 4.2
"""In flight on average: for four, two replicas would do."""
WITH_LOAD, WITHOUT = (2, 3), (1, 1)
"""By cpu, and by requests in flight: nearly six of them, two for each replica."""
HELD_S = 4.0
"""Without measurements, after it was noticed that there are none."""


@dataclass
class Scaled:
    """A platform with a deployment that scales by cpu, and one by requests in flight."""

    platform: LivePlatform
    names: tuple[str, str]
    outages: list[tuple[float, float]] = field(default_factory=list)
    """From a kill of Envoy until the next one served, by the clock of the calls."""

    async def decisions(self, name: str) -> list[ReplicasDecided]:
        events = await self.platform.events(name, type="ReplicasDecided")
        return [ReplicasDecided.model_validate(event["data"]) for event in events]

    async def numbers(self) -> tuple[int, ...]:
        return tuple(
            [(await self.platform.get(f"/deployments/{name}/explain"))["replicas"] for name in self.names]
        )

    async def pids(self) -> tuple[dict[str, int], ...]:
        return tuple([await self.platform.replica_pids(name) for name in self.names])

    async def have(self, numbers: Sequence[int]) -> None:
        """Wait until so many are in force, run, and are ready."""

        async def they_do() -> bool:
            listed = [await self.platform.instances(name) for name in self.names]
            states = [[one["state"] for one in some] for some in listed]
            return states == [["running"] * number for number in numbers] and await self.numbers() == numbers

        await eventually(they_do, every_s=0.1)

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[list[Caller]]:
        by_cpu, in_flight = self.names
        async with (
            self.platform.calling(by_cpu, f"/burn?seconds={WORK_S}", lanes=1) as burning,
            self.platform.calling(in_flight, f"/sleep?seconds={SLEEP_S}", lanes=LANES) as sleeping,
        ):
            yield [burning, sleeping]

    async def kill(self, *parts: str) -> None:
        """All at once; they are there again, and both deployments are decided about by new measurements."""
        clock = asyncio.get_running_loop().time
        before, began = {part: self.platform.pid(part) for part in parts}, clock()
        for part in parts:
            self.platform.send(part)
        await eventually(lambda: all(self.platform.pid(part) not in {None, before[part]} for part in parts))
        await self.platform.healthy()
        if "envoy" in parts:
            caller = self.platform.caller(self.names[0])
            await eventually(lambda: _answers(caller))
            self.outages.append((began, clock()))
        await self.decided_since(utc_now())

    async def decided_since(self, moment: datetime) -> None:
        """By the autoscaler's own word: what both go by was measured, and nothing of it is unknown."""
        async with connected_as(self.platform, "api") as client, asyncio.timeout(PATIENCE_S):
            subscription = await client.subscribe(subjects.heartbeat("autoscaler"))
            async for message in subscription.messages:
                beat = json.loads(message.data)
                ages = beat["detail"].get("measured_s_ago", {})
                since = (datetime.fromisoformat(beat["sent_at"]) - moment).total_seconds()
                is_measured = all(since - ages.get(kind, since) > 0 for kind in ("usage", "in_flight"))
                if beat["detail"].get("autoscaled") == 2 and not beat["detail"]["unknown"] and is_measured:
                    return

    async def is_unknown(self) -> bool:
        found = [await self.platform.get(f"/deployments/{name}/explain") for name in self.names]
        return all((one["reasoning"] or {}).get("reason") == "metrics_unknown" for one in found)

    async def lose(self, stream: str) -> None:
        async with connected_as(self.platform, "provision") as client:
            await client.jetstream().delete_stream(stream)

    def lost(self, callers: Sequence[Caller]) -> list[Call]:
        """Without those whose connection broke as Envoy died, or was refused until the next one listened."""
        return [call for one in callers for call in one.failures() if not self._is_excused(call)]

    def _is_excused(self, call: Call) -> bool:
        during = any(call.ended >= began and call.sent <= ended for began, ended in self.outages)
        return call.error is not None and during


async def _answers(caller: Caller) -> bool:
    try:
        return (await caller.once("/")).status_code == 200
    except httpx.TransportError:
        return False


def least_in_flight(caller: Caller, *, since: float) -> float:
    """Of the averages over the windows that end after this point of the calls' clock."""
    calls = [call for call in caller.calls if call.is_served]
    ends = [call.ended for call in calls if call.ended >= since]
    return min(
        sum(max(0.0, min(call.ended, end) - max(call.sent, end - WINDOW_S)) for call in calls) / WINDOW_S
        for end in ends
    )


async def is_sound(scaled: Scaled) -> None:
    """One history, each number within the bounds and by its own arithmetic, and no fall by the unknown."""
    for name in scaled.names:
        found = await scaled.decisions(name)
        assert found[0].from_replicas == found[0].floor
        for before, after in itertools.pairwise(found):
            assert after.from_replicas == before.to_replicas != after.to_replicas
        for fact in found:
            assert decided_again(fact) == fact.to_replicas
            assert fact.floor <= fact.to_replicas <= fact.policy.max_replicas
            if fact.to_replicas < fact.from_replicas:
                assert not any(one.unknown for one in fact.metrics), fact
    await scaled.platform.verified()


@pytest.fixture
async def scaled(tmp_path) -> AsyncIterator[Scaled]:
    (tmp_path / "types.yaml").write_text(MACHINE_TYPES)
    platform = LivePlatform(
        tmp_path / "home",
        SPECSTREAM_USAGE_SECONDS="1",
        SPECSTREAM_MACHINE_TYPES=str(tmp_path / "types.yaml"),
    )
    try:
        await platform.start_and_wait()
        names = await asyncio.gather(
            platform.deploy(load("by-cpu", BY_CPU)), platform.deploy(load("in-flight", IN_FLIGHT))
        )
        yield Scaled(platform, tuple(names))
    finally:
        await platform.close()


async def test_whatever_is_killed_under_load_the_number_is_that_of_the_load(scaled: Scaled):
    first = await scaled.pids()
    async with scaled.under_load() as callers:
        await scaled.have(WITH_LOAD)
        # For a whole window.
        await eventually(lambda: least_in_flight(callers[1], since=callers[1].served[-1].ended) > LANES - 1)
        undisturbed, loaded_at = await scaled.pids(), asyncio.get_running_loop().time()
        decided = [await scaled.decisions(name) for name in scaled.names]
        for part in PARTS:
            if part == "autoscaler":
                await scaled.lose(subjects.SCALING_STREAM)
            await scaled.kill(part)
        await scaled.kill(*PARTS)
        await scaled.have(WITH_LOAD)
        if least_in_flight(callers[1], since=loaded_at) > ENOUGH:
            # Otherwise a slow machine has kept Envoy or the calls away for so long that fewer were right.
            assert [await scaled.decisions(name) for name in scaled.names] == decided
            assert await scaled.pids() == undisturbed
        undisturbed = await scaled.pids()
        await scaled.lose(subjects.METRICS_STREAM)
    assert not scaled.lost(callers)

    await eventually(scaled.is_unknown, every_s=0.1)
    await let_time_pass(HELD_S)
    assert await scaled.pids() == undisturbed
    await scaled.kill("nats")
    await scaled.have(WITHOUT)
    assert await scaled.pids() == first

    async with scaled.under_load() as callers:
        await scaled.kill(*PARTS)
        await scaled.have(WITH_LOAD)
    assert not scaled.lost(callers)
    await is_sound(scaled)
