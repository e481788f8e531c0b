"""How many requests of a deployment Envoy has counted, as the platform measures it."""

import asyncio
from contextlib import aclosing

from libs.common.log.jetstream.samples import open_sample_reader
from libs.common.metrics.port import Received
from libs.common.metrics.samples import Kind, RequestTotals
from tests.support.nats_users import connected_as
from tests.support.platform_process import PlatformProcess
from tests.support.polling import PATIENCE_S


async def totals_of(platform: PlatformProcess, deployment_id: str, *, answered: int) -> RequestTotals:
    """The first that are at least so many. Fails where they never come."""
    newest: RequestTotals | None = None
    try:
        async with connected_as(platform, "api") as client, asyncio.timeout(PATIENCE_S):
            samples = open_sample_reader(client, "api")
            async with aclosing(samples.follow(Kind.REQUESTS, since=0)) as following:
                async for one in following:
                    totals = one.batch.requests if isinstance(one, Received) else ()
                    newest = next((t for t in totals if t.deployment_id == deployment_id), newest)
                    if newest is not None and newest.answered >= answered:
                        return newest
    except TimeoutError:
        pass
    raise AssertionError(f"{answered} requests were answered, and Envoy has counted {newest}")
