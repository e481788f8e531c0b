"""A home as a platform leaves it that has had many deployments: disabled ones, and ones deleted long ago.

The facts are appended in batches straight to its log, and its cluster's records are written, so that filling
it takes a minute where a platform would take an hour.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import nats

from libs.common.bus import subjects
from libs.common.cluster.local.home import Home
from libs.common.cluster.local.shim import files
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Position
from libs.common.events.fact import Fact
from libs.common.events.name import NameClaimed, NameReleased
from libs.common.events.rollout import RolloutPhase, RolloutProgressed, SpecApplied, WorkloadRemoved
from libs.common.ids import name_key, new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.log.port import Heads
from libs.common.spec.template import make_template, run_id
from tests.support.live_platform import LivePlatform, hello
from tests.support.platform_process import ROOT
from tests.support.polling import PATIENCE_S
from tests.support.specs import parse_spec

PROJECT = "default"
AT_ONCE = 100
"""Deployments in one append: as many aggregates as one batch can guard."""
CAUSE = Cause("key:default", new_id(), new_id(), f"00-{new_id()}-b7ad6b7169203331-01")


async def fill(platform: LivePlatform, *, disabled: int, deleted: int = 0) -> list[str]:
    """Fill the home of a platform that is not running; the ids of the disabled deployments."""
    await platform.start_and_wait()
    await platform.run("down")
    server = await asyncio.create_subprocess_exec(
        str(ROOT / ".venv" / "bin" / "nats-server"),
        "--config",
        str(platform.home / "nats" / "nats.conf"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        client = await nats.connect(
            f"nats://127.0.0.1:{platform.ports()['nats']}",
            nkeys_seed=str(platform.home / "nats" / "provision.nk"),
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,
            error_cb=_is_starting,
        )
        log = JetStreamLog(client, source="specstream/filled")
        for start in range(0, deleted, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, deleted))
            await tell(log, {new_id(): f"gone-{number}" for number in numbers}, is_deleted=True)
        living = [(new_id(), f"off-{number}") for number in range(disabled)]
        cluster = Home(platform.home / "replicas")
        for start in range(0, disabled, AT_ONCE):
            names = dict(living[start : start + AT_ONCE])
            heads = await tell(log, names, is_deleted=False)
            for deployment_id in names:
                head = heads[Aggregate(PROJECT, "deployment", deployment_id)]
                _apply(cluster, deployment_id, Position(head.sequence, await log.identity(), head.hash))
        await client.close()
        await _acknowledge(platform)
    finally:
        server.terminate()
        await server.wait()
    return [deployment_id for deployment_id, _ in living]


async def tell(log: JetStreamLog, names: dict[str, str], *, is_deleted: bool) -> Heads:
    """The whole history of some deployments, each kind of fact of all of them in one append."""
    heads: Heads = {}
    stories = [list(_story(deployment_id, name, is_deleted)) for deployment_id, name in names.items()]
    for chapter in zip(*stories, strict=True):
        heads = {**heads, **(await log.append(chapter, heads=heads, cause=CAUSE)).heads}
    return heads


def _story(deployment_id: str, name: str, is_deleted: bool) -> Iterator[Draft]:
    spec = parse_spec({**hello(name), "enabled": False})
    spec_id, run = new_id(), run_id(make_template(spec))

    def of(fact: Fact, aggregate_id: str = deployment_id) -> Draft:
        return Draft(Aggregate(PROJECT, fact.aggregate, aggregate_id), fact)

    key = name_key(PROJECT, name)
    yield of(NameClaimed(parent=PROJECT, name=name, owner_id=deployment_id), key)
    yield of(DeploymentCreated(name=name))
    yield of(SpecRegistered(spec_id=spec_id, run_id=run, spec=spec))
    yield of(SpecApplied(spec_id=spec_id, run_id=run, runs=()))
    yield of(
        RolloutProgressed(
            spec_id=spec_id,
            run_id=run,
            phase=RolloutPhase.STOPPED,
            replicas=0,
            ready_replicas=0,
            leaving_replicas=0,
        )
    )
    if is_deleted:
        yield of(DeploymentDeleted(name=name))
        yield of(NameReleased(parent=PROJECT, name=name, owner_id=deployment_id), key)
        yield of(WorkloadRemoved())


def _apply(home: Home, deployment_id: str, fence: Position) -> None:
    """What the cluster remembers of a workload without replicas."""
    directory = home.deployment(deployment_id)
    directory.mkdir(mode=0o700)
    stored = {"project_id": PROJECT, "fence": fence.sequence, "next_order": 0, "is_removed": False}
    files.write_json(f"{directory}/workload.json", stored)
    (home.root / "fences" / deployment_id).touch()
    origin = {"sequence": fence.sequence, "log": fence.log, "hash": fence.hash}
    files.write_json(f"{home.root}/fences/{deployment_id}.json", origin)


async def _acknowledge(platform: LivePlatform) -> None:
    """The reconciler has handled all of it."""
    client = await nats.connect(
        f"nats://127.0.0.1:{platform.ports()['nats']}",
        nkeys_seed=str(platform.home / "nats" / "reconciler.nk"),
        inbox_prefix="_INBOX_reconciler",
    )
    durable = await client.jetstream(timeout=PATIENCE_S).pull_subscribe_bind(
        subjects.RECONCILER_DURABLE, subjects.EVENTS_STREAM
    )
    while (info := await durable.consumer_info()).num_pending or info.num_ack_pending:
        with suppress(TimeoutError):  # the client's own, or asyncio's where the first answer came late
            for message in await durable.fetch(500, timeout=1):
                await message.ack()
    await client.close()


async def _is_starting(_: Exception) -> None:
    """The server answers a moment later."""
