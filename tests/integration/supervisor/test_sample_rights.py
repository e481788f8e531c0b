"""Samples through the broker of a platform, as each user."""

import asyncio
from contextlib import aclosing

import pytest
from nats.aio.client import Client

from libs.common.log.consumer_names import names_of_samples
from libs.common.log.jetstream.samples import (
    JetStreamSamplePublisher,
    JetStreamSampleReader,
    open_sample_reader,
)
from libs.common.metrics.port import CaughtUp, Received
from libs.common.metrics.samples import Batch, Kind
from libs.common.services import SERVICES
from tests.support.nats_users import SILENT_FOR_S, answer, connected_as
from tests.support.platform_process import PlatformProcess
from tests.support.polling import PATIENCE_S

MAY = {("health", Kind.USAGE), ("router", Kind.REQUESTS), ("router", Kind.IN_FLIGHT)}


def batch(kind: Kind, source: str) -> Batch:
    return Batch(kind=kind, source=source, counter_id="c", number=1, interval_s=1, ended_at=1)


@pytest.mark.parametrize("user", [*SERVICES, "commands"])
async def test_each_service_publishes_its_own_kinds_alone(lasting_platform: PlatformProcess, user: str):
    async with connected_as(lasting_platform, user) as client:
        for kind in Kind:
            stored = await answer(
                client,
                f"metrics.{kind}.of-{user}",
                batch(kind, f"of-{user}").model_dump_json().encode(),
                within_s=PATIENCE_S if (user, kind) in MAY else SILENT_FOR_S,
            )
            assert (stored is not None) == ((user, kind) in MAY)
            if stored is not None:
                assert b'"stream":"METRICS"' in stored.data


@pytest.mark.parametrize("reader", ["api", "autoscaler"])
async def test_who_reads_samples_hears_what_the_others_publish(
    lasting_platform: PlatformProcess, reader: str
):
    async with (
        connected_as(lasting_platform, "health") as health,
        connected_as(lasting_platform, reader) as reading,
    ):
        source = f"for-{reader}"
        await JetStreamSamplePublisher(health, attempt_s=PATIENCE_S).publish(batch(Kind.USAGE, source))
        found = await _first_of(reading, reader, source)
        assert found.batch == batch(Kind.USAGE, source)
        assert (await open_sample_reader(reading, reader).holding()).since is not None


async def _first_of(client: Client, service: str, source: str) -> Received:
    samples = open_sample_reader(client, service)
    async with asyncio.timeout(PATIENCE_S), aclosing(samples.follow(Kind.USAGE, since=0)) as following:
        async for one in following:
            if isinstance(one, Received) and one.batch.source == source:
                return one
    raise AssertionError("follow never ends")


TRIALS = 40
"""Of policies, one after the other: each reads the samples by a consumer of its own, whose name is taken for
some seconds afterwards."""


async def test_the_api_reads_samples_for_many_trials_in_a_row(lasting_platform: PlatformProcess):
    async with connected_as(lasting_platform, "api") as client:
        # Whoever finds no name waits for so long, and then it is over.
        again_s = 4 * PATIENCE_S
        samples = JetStreamSampleReader(client, consumers=names_of_samples("api"), again_s=again_s)
        async with asyncio.timeout(again_s / 2):
            for _ in range(TRIALS):
                async with aclosing(samples.follow(Kind.USAGE, since=0)) as following:
                    async for one in following:
                        if isinstance(one, CaughtUp):
                            break
