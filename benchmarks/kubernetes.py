"""A platform on a Kubernetes whose nodes are simulated: how fast, and how much it asks of the API server.

Beside `kubectl apply` of as many Deployments, whose controllers make their pods, on the same API server.
"""

import asyncio
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from time import perf_counter
from typing import Any

from benchmarks.figure import Aim, AtMost, Figure
from benchmarks.footprint import idle_cpu, memory
from benchmarks.kubernetes_world import LOOK_EVERY_S, NAMESPACE, Lab, Request, lab, spec_of
from libs.common.clock import utc_now
from libs.common.cluster.kubernetes import names
from libs.common.services import SERVICES
from tests.support.kubernetes_world import prepare
from tests.support.polling import eventually

DEPLOYMENTS = 1_000
QUICK_DEPLOYMENTS = 100
REPLICAS = 2
MOST_REPLICAS = 5
CLIENTS = 16
PEER = "peer"
RATES = (5, 20)
CHANGES_S = 30.0
QUICK_CHANGES_S = 10.0
REST_S = 60.0
SETTLE_S = 15.0
"""After which nothing of a change is left to do."""
AT_EASE = 10.0
"""Percent of a core."""
PATIENCE_S = 1800.0
SERVICES_AIM = AtMost(1024)
IDLE_AIMS: Mapping[str, Aim | None] = {"health": AtMost(10), "reconciler": None}


async def measure(*, quick: bool = False) -> list[Figure]:
    """`SPECSTREAM_BENCH_DEPLOYMENTS` says how many, if not the usual number."""
    usual = QUICK_DEPLOYMENTS if quick else DEPLOYMENTS
    deployments = int(os.environ.get("SPECSTREAM_BENCH_DEPLOYMENTS", usual))
    async with lab() as world:
        figures = await writes(world)
        figures.append(await all_ready(world, deployments))
        for rate in RATES:
            await at_ease(world)
            figures.append(
                await changes(world, deployments, rate, seconds=QUICK_CHANGES_S if quick else CHANGES_S)
            )
        figures += await at_rest(world, deployments)
        figures += await restart(world, deployments)
        return figures


async def writes(world: Lab) -> list[Figure]:
    """On a platform that has nothing else to do."""
    begin = world.written()
    deployment_id = await world.platform.deploy(spec_of("counted", replicas=2))
    await asyncio.sleep(SETTLE_S)
    created = sum(one.is_write for one in world.requests(begin))
    begin = world.written()
    await world.platform.deploy(spec_of("counted", replicas=3))
    await asyncio.sleep(SETTLE_S)
    added = sum(one.is_write for one in world.requests(begin))
    await world.platform.delete(deployment_id)
    await world.platform.gone(deployment_id)
    await world.ready(NAMESPACE, 0, within_s=PATIENCE_S)
    return [
        Figure("API writes to create a deployment of 2", created, "", aim=AtMost(3)),
        Figure("API writes to add a replica", added, "", aim=AtMost(2)),
    ]


async def all_ready(world: Lab, deployments: int) -> Figure:
    peer_s = await _peer_ready(world, deployments)
    start = perf_counter()
    await submit_all(world, deployments, REPLICAS)
    await world.ready(NAMESPACE, deployments * REPLICAS, within_s=PATIENCE_S)
    return Figure(
        f"{deployments:,} deployments of {REPLICAS} until all are ready",
        perf_counter() - start,
        "s",
        peer_s,
        "kubectl apply of Deployments",
        AtMost(1.5 * peer_s),
    )


async def _peer_ready(world: Lab, deployments: int) -> float:
    """As many Deployments by kubectl, in a namespace of their own, which is emptied again."""
    world.plane.client.create("/api/v1/namespaces", {"metadata": {"name": PEER}})
    prepare(world.plane.client, PEER)
    file = world.plane.directory / "peer.json"
    items = [_deployment(f"peer-{number}") for number in range(deployments)]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    start = perf_counter()
    await world.kubectl("apply", "--namespace", PEER, "--filename", file)
    await world.ready(PEER, deployments * REPLICAS, within_s=PATIENCE_S)
    took_s = perf_counter() - start
    await world.kubectl("delete", "deployments", "--all", "--namespace", PEER, "--wait=false")
    await world.ready(PEER, 0, within_s=PATIENCE_S)
    return took_s


def _deployment(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "automountServiceAccountToken": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [
                        {
                            "name": "main",
                            "image": "simulated/main:1",
                            "resources": {"limits": {"cpu": "100m", "memory": "100Mi"}},
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                },
            },
        },
    }


async def changes(world: Lab, deployments: int, rate: int, *, seconds: float) -> Figure:
    """From the request that changes `replicas` to the first write that the API server gets for it."""
    begin = world.written()
    asked: dict[str, datetime] = {}
    answered: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def change(number: int) -> None:
        # Each of another deployment, so that none waits for an earlier change.
        at = utc_now()
        replicas = REPLICAS + (1 if rate == RATES[0] else 2)
        asked[await world.platform.submit(spec_of(f"many-{number}", replicas=replicas))] = at
        answered.append((utc_now() - at).total_seconds() * 1e3)

    start = asyncio.get_running_loop().time()
    for number in range(min(deployments, int(rate * seconds))):
        tasks.append(asyncio.create_task(change(number)))
        await asyncio.sleep(max(0.0, start + (number + 1) / rate - asyncio.get_running_loop().time()))
    await asyncio.gather(*tasks)
    asked_at = {names.anchor_name(deployment_id): at for deployment_id, at in asked.items()}
    first: dict[str, datetime] = {}

    def are_written() -> bool:
        first.update(_first_writes(world.requests(begin), asked_at))
        return len(first) == len(asked_at)

    await eventually(are_written, within_s=PATIENCE_S, every_s=LOOK_EVERY_S)
    await asyncio.sleep(SETTLE_S)
    took = sorted((first[name] - at).total_seconds() * 1e3 for name, at in asked_at.items())
    return Figure(
        f"change of replicas until its first API write, {rate}/s among {deployments:,}, p99",
        took[int(len(took) * 0.99)],
        "ms",
        sorted(answered)[int(len(answered) * 0.99)],
        "the same changes until they were answered",
        aim=AtMost(250) if rate == RATES[0] else None,
    )


async def at_ease(world: Lab) -> None:
    """What was begun before is done: a change must not wait behind it."""

    async def is_at_ease() -> bool:
        return (await idle_cpu(world.platform, SETTLE_S))["reconciler"] < AT_EASE

    await eventually(is_at_ease, within_s=PATIENCE_S)


def _first_writes(requests: Iterable[Request], asked_at: Mapping[str, datetime]) -> dict[str, datetime]:
    """By anchor. What was written before it was asked for belongs to an earlier change."""
    first: dict[str, datetime] = {}
    for one in requests:
        is_anchor = one.is_write and one.kind == "configmaps" and one.name in asked_at
        if is_anchor and one.at >= asked_at[one.name]:
            first.setdefault(one.name, one.at)
    return first


async def at_rest(world: Lab, deployments: int) -> list[Figure]:
    """What is asked, and what the services take, while nobody wants anything."""
    await asyncio.sleep(SETTLE_S)
    begin = world.written()
    idle = await idle_cpu(world.platform, REST_S)
    asked = [one for one in world.requests(begin) if not one.is_watch]
    taken = memory(world.platform)
    return [
        Figure(
            f"API requests of {deployments:,} converged deployments in a minute",
            len(asked),
            "",
            aim=AtMost(20),
        ),
        *(
            Figure(f"idle CPU of {name}, {deployments:,} deployments", idle[name], "% of a core", aim=aim)
            for name, aim in IDLE_AIMS.items()
        ),
        Figure(
            f"memory of the five services, {deployments:,} deployments",
            sum(taken[name] for name in SERVICES),
            "MiB PSS",
            aim=SERVICES_AIM,
        ),
    ]


async def restart(world: Lab, deployments: int) -> list[Figure]:
    """Among five times as many pods: all services end, and come again."""
    await submit_all(world, deployments, MOST_REPLICAS)
    await world.ready(NAMESPACE, deployments * MOST_REPLICAS, within_s=PATIENCE_S)
    await asyncio.sleep(SETTLE_S)
    await world.platform.run("down")
    begin = world.written()
    start = perf_counter()
    await world.platform.start_and_wait(within_s=PATIENCE_S)
    await world.platform.healthy(within_s=PATIENCE_S)
    took_s = perf_counter() - start
    await asyncio.sleep(SETTLE_S)
    written = sum(one.is_write for one in world.requests(begin))
    replicas = deployments * MOST_REPLICAS
    return [
        Figure(
            f"restart among {replicas:,} replicas until healthy",
            took_s,
            "s",
            world.first_start_s,
            "a start with none",
            AtMost(60),
        ),
        Figure(f"API writes of a restart among {replicas:,} replicas", written, "", aim=AtMost(0)),
    ]


async def submit_all(world: Lab, deployments: int, replicas: int) -> None:
    """By some clients, each of which waits for its answers."""

    async def submit(first: int) -> None:
        for number in range(first, deployments, CLIENTS):
            await world.platform.submit(spec_of(f"many-{number}", replicas=replicas))

    await asyncio.gather(*(submit(first) for first in range(CLIENTS)))
