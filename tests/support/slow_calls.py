"""Slow requests that replicas are at work on from now on."""

import asyncio
from collections.abc import Collection

import httpx

from tests.support.live_platform import LivePlatform
from tests.support.polling import PATIENCE_S, eventually
from tests.support.recorded_calls import Caller

SlowCall = asyncio.Task[httpx.Response]
SlowCalls = dict[str, list[SlowCall]]
"""By deployment."""


async def slow_calls(
    platform: LivePlatform, deployment_ids: Collection[str], *, each: int, seconds: float
) -> SlowCalls:
    """Slow requests to each of these deployments, all of which are at work from now on. Where they ended
    before a busy machine had seen them all at work, they are made again and take twice as long."""
    # A deployment is ready a moment before the router has told Envoy so.
    await asyncio.gather(*(_until_served(_caller(platform, one)) for one in deployment_ids))
    while True:
        calls = {
            one: [
                asyncio.create_task(_caller(platform, one).once(f"/slow?seconds={seconds}"))
                for _ in range(each)
            ]
            for one in deployment_ids
        }
        every = [call for some in calls.values() for call in some]
        at_work = asyncio.gather(*(_at_work(_caller(platform, one), each, every) for one in calls))
        if all(await at_work) and not any(call.done() for call in every):
            return calls
        await asyncio.gather(*every)
        seconds *= 2


async def _at_work(caller: Caller, requests: int, calls: list[SlowCall]) -> bool:
    """Wait until so many requests besides ours are at work in the replicas, by their own count; false when
    one of the calls has ended before."""
    counts: dict[str, int] = {}

    async def is_so() -> bool:
        answer = await caller.once("/running")
        counts[answer.headers["x-specstream-replica"]] = answer.json()["running"] - 1
        return sum(counts.values()) >= requests or any(call.done() for call in calls)

    await eventually(is_so, because=lambda: f"not all requests are at work: {counts}")
    return sum(counts.values()) >= requests


async def _until_served(caller: Caller) -> None:
    async def is_served() -> bool:
        return (await caller.once("/running")).status_code == 200

    await eventually(is_served, because=f"{caller.endpoint} is not served")


def _caller(platform: LivePlatform, deployment_id: str) -> Caller:
    return platform.caller(deployment_id, timeout_s=PATIENCE_S)
