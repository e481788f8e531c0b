"""From a call at a deployment's endpoint to its count in METRICS, on a whole platform."""

import asyncio
from contextlib import aclosing

from libs.common.log.jetstream.samples import open_sample_reader
from libs.common.metrics.port import Received
from libs.common.metrics.samples import Kind
from tests.support.live_platform import LivePlatform, hello
from tests.support.nats_users import connected_as
from tests.support.polling import PATIENCE_S, eventually

CALLS = 7


async def test_what_was_called_is_counted(shared_platform: LivePlatform):
    deployment_id = await shared_platform.deploy(hello("counted"))
    caller = shared_platform.caller(deployment_id)
    statuses: list[int] = []

    async def are_served() -> bool:
        statuses.append((await caller.once()).status_code)
        return statuses.count(200) == CALLS

    # Until the router has told Envoy of it, there is no such deployment, and then one without a replica.
    await eventually(are_served)
    refused = statuses.count(503)
    async with connected_as(shared_platform, "api") as client, asyncio.timeout(PATIENCE_S):
        samples = open_sample_reader(client, "api")
        async with aclosing(samples.follow(Kind.REQUESTS, since=0)) as following:
            async for one in following:
                if not isinstance(one, Received):
                    continue
                found = next((t for t in one.batch.requests if t.deployment_id == deployment_id), None)
                if found is not None and found.answered >= CALLS:
                    break
    assert (found.answered, found.unanswered, found.server_errors) == (CALLS, refused, refused)
    assert 0 < found.duration_us < PATIENCE_S * 1e6
