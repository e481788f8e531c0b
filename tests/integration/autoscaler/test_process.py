"""The autoscaler as a process, one or two of it, on a real broker; who measures is played."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.client import Client

from libs.common.autoscaling.again import decided_again
from libs.common.autoscaling.kept import KeptReasoning
from libs.common.bus import subjects
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.clock import monotonic
from libs.common.errors import MetricsUnavailable
from libs.common.events.envelope import select
from libs.common.events.scaling import ReplicasDecided
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.jetstream.samples import JetStreamSamplePublisher
from libs.common.log.provision import provision
from tests.support.deployments import Storyteller
from tests.support.dying_service import order_of
from tests.support.nats_server import NatsEndpoint
from tests.support.polling import eventually, let_time_pass
from tests.support.scaling_story import by_cpu
from tests.unit.autoscaler.test_loop import Source

EVERY_S = 0.5
TAKEN_OVER_S = 8.0
QUICK = {"scaleDown": {"stabilizationWindowSeconds": 0}}


class Copy:
    """`python -m services.autoscaler`, or what stands in for it; what it logs goes to a file of its own."""

    def __init__(self, home: Path, nats_url: str, name: str) -> None:
        self._log = home / f"{name}.log"
        self._environment = {
            **os.environ,
            "SPECSTREAM_HOME": str(home),
            "SPECSTREAM_NATS_URL": nats_url,
            "SPECSTREAM_PROGRAM": "autoscaler",
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._began = 0
        """Where in the file the present process begins."""

    def start(self, module: str = "services.autoscaler") -> None:
        self._began = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module], env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def said(self, event: str) -> int:
        if not self._log.exists():
            return 0
        lines = self._log.read_bytes()[self._began :].decode().splitlines()
        return sum(json.loads(line).get("event") == event for line in lines if line.startswith("{"))

    def leads(self) -> bool:
        return self.said("lease taken") > self.said("lease given up")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for number in (signal.SIGCONT, signal.SIGKILL):
                self.process.send_signal(number)
            self.process.wait()


@pytest.fixture
async def copies(tmp_path: Path, nats_endpoint: NatsEndpoint) -> AsyncIterator[Callable[[str], Copy]]:
    made: list[Copy] = []

    def make(name: str = "first") -> Copy:
        made.append(Copy(tmp_path, nats_endpoint.url, name))
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
    first, second = copies("first"), copies("second")
    first.start()
    await eventually(first.leads)
    second.start()
    await eventually(lambda: second.said("caught up"))
    async with Load(log_client, story.deployment_id, "r1").running() as load:
        await let_time_pass(1)
        assert not second.leads()
        first.send(signal.SIGKILL)
        died_at = monotonic()
        await eventually(second.leads)
        assert monotonic() - died_at <= TAKEN_OVER_S
        load.percent = 100
        await eventually(decided(jetstream_log, 2))
    await is_one_history(jetstream_log)


@pytest.mark.usefixtures("jetstream_log")
async def test_a_copy_that_is_stopped_in_order_hands_over_at_once(copies):
    first, second = copies("first"), copies("second")
    first.start()
    await eventually(first.leads)
    second.start()
    await eventually(lambda: second.said("caught up"))
    first.send(signal.SIGTERM)
    await eventually(first.has_ended)
    ended_at = monotonic()
    await eventually(second.leads)
    assert monotonic() - ended_at < 3


async def test_a_copy_that_is_paused_beside_another_writes_nothing_late(copies, log_client, jetstream_log):
    story = await deployed(jetstream_log)
    first, second = copies("first"), copies("second")
    first.start()
    await eventually(first.leads)
    second.start()
    await eventually(lambda: second.said("caught up"))
    async with Load(log_client, story.deployment_id, "r1").running() as load:
        load.percent = 100
        await eventually(decided(jetstream_log, 2))
        first.send(signal.SIGSTOP)
        await story.ready("r2", "127.0.0.1:2")
        load.replica_ids = ("r1", "r2")
        await eventually(second.leads)
        await eventually(decided(jetstream_log, 4))
        load.percent = 50
        first.send(signal.SIGCONT)
        await eventually(lambda: first.said("lease given up"))
        await let_time_pass(2)
        assert second.leads()
    assert [one.to_replicas for one in await decisions(jetstream_log)] == [2, 4]
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
        await eventually(decided(jetstream_log, 3))
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
        await provision(log_client)
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
