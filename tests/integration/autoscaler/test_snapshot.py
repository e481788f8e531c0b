"""A service that is killed goes on from its snapshot, and from the log when the snapshot is damaged."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted
from libs.common.events.envelope import Aggregate, Draft
from libs.common.events.rollout import WorkloadRemoved
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.views import WORTH_A_SNAPSHOT
from tests.support.names import CAUSE
from tests.support.nats_server import NatsEndpoint
from tests.support.polling import eventually
from tests.support.service_process import ServiceProcess

LIVING, GONE = 400, 250


@pytest.fixture
async def autoscaler(
    tmp_path: Path, nats_endpoint: NatsEndpoint, log_client: Client
) -> AsyncIterator[ServiceProcess]:
    assert log_client.is_connected
    service = ServiceProcess("autoscaler", tmp_path, nats_endpoint.url)
    yield service
    if service.is_running:
        await asyncio.to_thread(service.end, signal.SIGKILL)


async def tell(log: JetStreamLog, deployment_ids: list[str], *facts: object) -> None:
    """All of these facts of all of them."""
    aggregates = [Aggregate("default", fact.aggregate, id_) for id_ in deployment_ids for fact in facts]
    heads = (await log.load(*{f"events.default.{fact.aggregate}.>" for fact in facts})).heads
    drafts = [Draft(a, f) for a, f in zip(aggregates, list(facts) * len(deployment_ids), strict=True)]
    for start in range(0, len(drafts), 500):
        heads = {**heads, **(await log.append(drafts[start : start + 500], heads=heads, cause=CAUSE)).heads}


def said(service: ServiceProcess, event: str) -> list[dict]:
    # The last line may be in the middle of being written.
    told, _, _ = service.said.rpartition("\n")
    lines = [json.loads(line) for line in told.splitlines()]
    return [line for line in lines if line["event"] == event]


async def test_a_killed_service_reads_what_lives_from_its_snapshot_and_the_rest_from_the_log(
    autoscaler: ServiceProcess, jetstream_log: JetStreamLog, tmp_path: Path
) -> None:
    living, gone = [new_id() for _ in range(LIVING)], [new_id() for _ in range(GONE)]
    await tell(jetstream_log, living, DeploymentCreated(name="demo"))
    await tell(jetstream_log, gone, DeploymentCreated(name="demo"), DeploymentDeleted(name="demo"))
    await tell(jetstream_log, gone, WorkloadRemoved())
    assert LIVING + 3 * GONE >= WORTH_A_SNAPSHOT + LIVING // 4
    snapshot = tmp_path / "views" / "autoscaler.snapshot"

    autoscaler.start()
    await eventually(snapshot.exists)
    assert not said(autoscaler, "views read")
    autoscaler.end(signal.SIGKILL)

    await tell(jetstream_log, [new_id()], DeploymentCreated(name="late"))
    autoscaler.start()
    await eventually(lambda: len(said(autoscaler, "caught up")) == 2)
    assert [line["deployments"] for line in said(autoscaler, "views read")] == [LIVING]
    assert said(autoscaler, "caught up")[-1]["deployments"] == LIVING + 1
    autoscaler.end(signal.SIGKILL)

    snapshot.write_bytes(snapshot.read_bytes()[:-100])
    autoscaler.start()
    await eventually(lambda: len(said(autoscaler, "caught up")) == 3)
    assert len(said(autoscaler, "the snapshot of views is not used")) == 1
    assert said(autoscaler, "caught up")[-1]["deployments"] == LIVING + 1
