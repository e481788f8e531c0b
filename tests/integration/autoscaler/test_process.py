"""The autoscaler as a process, one or two of it, on a real broker; who measures is played."""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client

from libs.common.autoscaling.kept import KeptReasoning
from libs.common.bus import subjects
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.clock import monotonic
from libs.common.errors import MetricsUnavailable
from libs.common.events.envelope import select
from libs.common.events.scaling import ReplicasDecided
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.jetstream.samples import JetStreamSamplePublisher
from services.autoscaler.decide import GAP_S
from tests.support.autoscaler_process import Copy
from tests.support.decided_again import decided_again
from tests.support.deployments import Storyteller
from tests.support.dying_service import order_of
from tests.support.nats_server import NatsEndpoint, provisioned
from tests.support.polling import eventually, let_time_pass
from tests.support.scaling_story import by_cpu
from tests.support.tcp_proxy import proxied
from tests.support.tries import soon
from tests.unit.autoscaler.test_loop import Source

EVERY_S = 0.5
TAKEN_OVER_S = 8.0
TRIES = 10
"""Of what has to be quick: the best of them counts, because on a busy machine anything may take longer."""
QUICK = {"scaleDown": {"stabilizationWindowSeconds": 0}}


@pytest.fixture
async def copies(tmp_path: Path, nats_endpoint: NatsEndpoint) -> AsyncIterator[Callable[..., Copy]]:
    made: list[Copy] = []

    def make(name: str = "first", url: str = nats_endpoint.url) -> Copy:
        made.append(Copy(tmp_path, url, name, len(made) + 1))
        return made[-1]

    (tmp_path / "run").mkdir()
    yield make
    for one in made:
        await asyncio.to_thread(one.stop)


class Load:
    """Measures the replicas of one deployment, again and again: each as full as the test says."""

    def __init__(self, client: Client, deployment_id: str, *replica_ids: str) -> None:
        self._source = Source(JetStreamSamplePublisher(client, attempt_s=0.5))
        self._deployment_id = deployment_id
        self.replica_ids = replica_ids
        self.percent = 50.0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        task = asyncio.ensure_future(self._run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(MetricsUnavailable):
                await self._source.use(self._deployment_id, *self.replica_ids, percent=self.percent)
            await let_time_pass(EVERY_S)


async def decisions(log: JetStreamLog) -> list[ReplicasDecided]:
    return [event.fact async for event in log.read(select(kind="scaling"))]


def decided(log: JetStreamLog, number: int) -> Callable[[], Awaitable[bool]]:
    """Whether the newest decision is for that many."""

    async def is_so() -> bool:
        found = await decisions(log)
        return bool(found) and found[-1].to_replicas == number

    return is_so


async def is_one_history(log: JetStreamLog) -> None:
    found = await decisions(log)
    assert found[0].from_replicas == found[0].floor
    for before, after in itertools.pairwise(found):
        assert after.from_replicas == before.to_replicas != after.to_replicas
    for fact in found:
        assert decided_again(fact) == fact.to_replicas
        assert fact.floor <= fact.to_replicas <= fact.policy.max_replicas


async def one_leads(first: Copy, second: Copy) -> None:
    """And not both of them. Either one: a machine may hold up whoever leads for longer than a lease lasts."""
    await eventually(lambda: first.leads() != second.leads(), because="not one of the two leads")


async def with_heir(leading: Copy, other: Copy) -> tuple[Copy, Copy]:
    """Who leads, and who would take over: `other` is started, and both know everything."""
    other.start()
    await eventually(lambda: other.said("caught up"))
    await let_time_pass(1)
    await one_leads(leading, other)
    return (other, leading) if other.leads() else (leading, other)


async def deployed(log: JetStreamLog, **behavior: object) -> Storyteller:
    story = Storyteller(log)
    await story.autoscale(by_cpu(50, behavior=behavior or QUICK))
    await story.ready("r1", "127.0.0.1:1")
    return story


async def test_load_goes_up_and_down_and_the_reasoning_is_kept(copies, log_client, jetstream_log):
    story = await deployed(jetstream_log)
    copies().start()
    kept = KeptReasoning(
        JetStreamEntries(log_client, stream=subjects.SCALING_STREAM, root=subjects.SCALING_ROOT)
    )
    async with Load(log_client, story.deployment_id, "r1").running() as load:
        load.percent = 100
        await eventually(decided(jetstream_log, 2))
        await story.ready("r2", "127.0.0.1:2")
        load.replica_ids = ("r1", "r2")
        load.percent = 10
        await eventually(decided(jetstream_log, 1))

        async def is_kept() -> bool:
            present = await kept.present(story.deployment_id)
            return present is not None and present.current == 1

        await eventually(is_kept)
    await is_one_history(jetstream_log)


async def test_another_copy_takes_over_within_eight_seconds_of_a_death(copies, log_client, jetstream_log):
    story = await deployed(jetstream_log)
    leading, other = copies("first"), copies("second")
    leading.start()
    await eventually(leading.leads)

    async def one_dies() -> float:
        nonlocal leading, other
        leading, other = await with_heir(leading, other)
        leading.send(signal.SIGKILL)
        died_at = monotonic()
        await eventually(other.leads)
        took_s = monotonic() - died_at
        leading, other = other, leading
        await eventually(other.has_ended)
        return took_s

    async with Load(log_client, story.deployment_id, "r1").running() as load:
        await soon(one_dies, TAKEN_OVER_S, tries=TRIES)
        load.percent = 100
        await eventually(decided(jetstream_log, 2))
    await is_one_history(jetstream_log)


@pytest.mark.usefixtures("jetstream_log")
async def test_who_is_started_in_place_of_a_dead_one_has_its_lease_at_once(copies):
    copy = copies()
    copy.start()
    await eventually(copy.leads)

    async def started_again() -> float:
        copy.send(signal.SIGKILL)
        await eventually(copy.has_ended)
        copy.start()
        await eventually(lambda: copy.said("caught up"))
        # A start takes a second or two; a lease of another one would have to end first, after 6 s.
        caught_up_at = monotonic()
        await eventually(copy.leads)
        return monotonic() - caught_up_at

    await soon(started_again, 1, tries=TRIES)


@pytest.mark.usefixtures("jetstream_log")
async def test_a_copy_that_is_stopped_in_order_hands_over_at_once(copies):
    leading, other = copies("first"), copies("second")
    leading.start()
    await eventually(leading.leads)

    async def one_is_stopped() -> float:
        nonlocal leading, other
        leading, other = await with_heir(leading, other)
        leading.send(signal.SIGTERM)
        await eventually(leading.has_ended)
        ended_at = monotonic()
        await eventually(other.leads)
        took_s = monotonic() - ended_at
        leading, other = other, leading
        return took_s

    await soon(one_is_stopped, 3, tries=TRIES)


@pytest.mark.parametrize("paused_s", [0, GAP_S + 15], ids=["until another leads", "for a minute"])
async def test_a_copy_that_is_paused_beside_another_writes_nothing_late(
    copies, nats_endpoint, log_client, jetstream_log, paused_s
):
    """After a minute nobody knows what it would have decided, and the broker has hung up. It leads again when
    the other one has gone."""
    story = await deployed(jetstream_log)
    async with (
        proxied(int(nats_endpoint.url.rpartition(":")[2])) as line,
        Load(log_client, story.deployment_id, "r1").running() as load,
    ):
        first, second = copies("first", line.url), copies("second")
        first.start()
        await eventually(first.leads)
        second.start()
        await eventually(lambda: second.said("caught up"))
        load.percent = 100
        await eventually(decided(jetstream_log, 2))
        first.send(signal.SIGSTOP)
        await story.ready("r2", "127.0.0.1:2")
        load.replica_ids = ("r1", "r2")
        await eventually(second.leads)
        await eventually(decided(jetstream_log, 4))
        load.percent = 50
        await let_time_pass(paused_s)
        if paused_s:
            line.cut()
        first.send(signal.SIGCONT)
        await eventually(lambda: first.said("lease given up"))
        await let_time_pass(2)
        await one_leads(first, second)
        assert [one.to_replicas for one in await decisions(jetstream_log)] == [2, 4]

        second.send(signal.SIGTERM)
        await eventually(second.has_ended)
        await eventually(first.leads)
        load.percent = 200
        await eventually(decided(jetstream_log, 8))
    assert [one.to_replicas for one in await decisions(jetstream_log)] == [2, 4, 8]
    await is_one_history(jetstream_log)


@pytest.mark.parametrize("point", ["before ReplicasDecided", "after ReplicasDecided"])
async def test_killed_at_a_step_it_goes_on(copies, log_client, jetstream_log, tmp_path, point):
    story = await deployed(jetstream_log)
    copy = copies()
    order_of(tmp_path, "autoscaler").write_text(point)
    async with Load(log_client, story.deployment_id, "r1").running() as load:
        load.percent = 100
        copy.start("tests.support.dying_service")
        await eventually(copy.has_ended)
        copy.start("tests.support.dying_service")
        await eventually(decided(jetstream_log, 2))
        await eventually(copy.leads)
        await let_time_pass(1)
    assert [one.to_replicas for one in await decisions(jetstream_log)] == [2]


async def test_samples_that_end_in_the_middle_of_a_scale_down_end_it(copies, log_client, jetstream_log):
    slowly = {
        "scaleUp": {"policies": [{"type": "Pods", "value": 3, "periodSeconds": 1}]},
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 6}],
        },
    }
    story = await deployed(jetstream_log, **slowly)
    copies().start()
    jetstream = log_client.jetstream()
    async with Load(log_client, story.deployment_id, "r1").running() as load:
        load.percent = 200
        await eventually(decided(jetstream_log, 4))
        for number in (2, 3, 4):
            await story.ready(f"r{number}", f"127.0.0.1:{number}")
        load.replica_ids, load.percent = ("r1", "r2", "r3", "r4"), 50
        # A rate counts from how many there were when its period began.
        await let_time_pass(7)
        load.percent = 5

        async def is_scaling_down() -> bool:
            return 3 in [one.to_replicas for one in await decisions(jetstream_log)]

        await eventually(is_scaling_down)
        await jetstream.delete_stream(subjects.METRICS_STREAM)
        # What was measured counts for three intervals, of which the source says that they are 15 s.
        load.percent = 5
        kept = KeptReasoning(
            JetStreamEntries(log_client, stream=subjects.SCALING_STREAM, root=subjects.SCALING_ROOT)
        )

        async def is_held() -> bool:
            present = await kept.present(story.deployment_id)
            return present is not None and present.reason == "metrics_unknown"

        await eventually(is_held)
        number = (await decisions(jetstream_log))[-1].to_replicas
        await let_time_pass(8)
        assert (await decisions(jetstream_log))[-1].to_replicas == number
        await provisioned(log_client)
        await eventually(decided(jetstream_log, 1))
    await is_one_history(jetstream_log)


async def test_a_bucket_that_is_gone_costs_no_decision(copies, log_client, jetstream_log):
    story = await deployed(jetstream_log)
    copy = copies()
    copy.start()
    await eventually(copy.leads)
    await log_client.jetstream().delete_stream(subjects.SCALING_STREAM)
    async with Load(log_client, story.deployment_id, "r1").running() as load:
        load.percent = 100
        await eventually(decided(jetstream_log, 2))
        copy.send(signal.SIGKILL)
        await eventually(copy.has_ended)
        copy.start()
        await story.ready("r2", "127.0.0.1:2")
        load.replica_ids = ("r1", "r2")
        await eventually(decided(jetstream_log, 4))
    await is_one_history(jetstream_log)
