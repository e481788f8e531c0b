"""The clusters as a contract test sees them: with a hand inside, to make a replica write and end."""

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import (
    Checked,
    Cluster,
    ObservedReplica,
    ObservedWorkload,
    ReplicaPhase,
    RunWorkload,
    Workload,
)
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from libs.common.spec.template import Template
from tests.support.fault_proxy import before
from tests.support.kubernetes_world import KubernetesWorld, prepare
from tests.support.played_kubelets import PlayedKubelets
from tests.support.polling import eventually

PROJECT = "default"
DEPLOYMENT = "d" * 32

OBEDIENT = ("sh", "-c", 'mkfifo tell 2>/dev/null; exec 3<>tell; while read -r it <&3; do eval "$it"; done')
"""A replica that does what is written to `tell` in its working directory, which it keeps open: an order
that comes between two others is neither lost nor refused."""


def template(*command: str, ports: tuple[int, ...] = (8000,), **env: str) -> Template:
    return Template.model_validate(
        {
            "image": "model:1",
            "command": command or OBEDIENT,
            "ports": ports,
            "machine_type": "C4",
            "env": [{"name": name, "value": value} for name, value in env.items()],
        }
    )


def run_of(replicas: int, *, run_id: str = "run", spec_id: str = "spec", **kwargs) -> RunWorkload:
    return RunWorkload(run_id, spec_id, kwargs.get("of") or template(), replicas)


def workload(*runs: RunWorkload, retiring=(), stopping=(), deployment_id: str = DEPLOYMENT) -> Workload:
    return Workload(
        PROJECT, deployment_id, runs, frozenset(retiring), frozenset(stopping), traceparent="00-ab-cd-01"
    )


async def replicas(cluster: Cluster, deployment_id: str = DEPLOYMENT) -> tuple[ObservedReplica, ...]:
    shown = (await cluster.observe(deployment_id)).get(deployment_id)
    return shown.replicas if shown else ()


async def trouble(cluster: Cluster) -> str:
    """Why it cannot be observed; empty where it can."""
    try:
        await cluster.observe()
    except ClusterUnavailable as error:
        return str(error)
    return ""


async def until_available(cluster: Cluster) -> None:
    async def is_available() -> bool:
        return not await trouble(cluster)

    await eventually(is_available)


def all_run(number: int) -> Callable[[tuple[ObservedReplica, ...]], bool]:
    def check(shown: tuple[ObservedReplica, ...]) -> bool:
        return len(shown) == number and all(each.phase is ReplicaPhase.RUNNING for each in shown)

    return check


def command_that(becomes: Checked) -> tuple[str, ...]:
    """A command that ends so. What it writes has no quotes."""
    if becomes.problem is not None:
        return ("no-such-program",)
    end = f"kill -{becomes.signal} $$$$" if becomes.signal else f"exit {becomes.status}"
    return ("sh", "-c", f"printf '{becomes.output}'; {'sleep 1000' if becomes.has_timed_out else end}")


class World(Protocol):
    """cluster: the one under test."""

    cluster: Cluster

    def command(self, becomes: Checked) -> tuple[str, ...]:
        """One that becomes this when it is run in a replica."""
        ...

    async def until(
        self, condition: Callable[[tuple[ObservedReplica, ...]], object]
    ) -> tuple[ObservedReplica, ...]:
        """Let the cluster work until the deployment's replicas are so; returns them."""
        ...

    async def until_gone(self) -> None:
        """Let the cluster work until it does not show the deployment."""
        ...

    async def write(self, replica_id: str, line: str) -> None: ...

    async def exit(
        self, replica_id: str, *, status: int | None = None, signal: int | None = None
    ) -> None: ...


class MemoryWorld:
    def __init__(self) -> None:
        self.cluster = MemoryCluster(utc_now)

    def command(self, becomes: Checked) -> tuple[str, ...]:
        command = command_that(becomes)
        self.cluster.commands[command] = becomes
        return command

    async def until(self, condition):
        self.cluster.advance()
        shown = await replicas(self.cluster)
        assert condition(shown), shown
        return shown

    async def until_gone(self) -> None:
        self.cluster.advance()
        assert DEPLOYMENT not in await self.cluster.observe()

    async def write(self, replica_id, line):
        self.cluster.write(replica_id, line)

    async def exit(self, replica_id, *, status=None, signal=None):
        self.cluster.exit(replica_id, status=status, signal=signal)


class LocalWorld:
    """root: the directory of its replicas."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cluster = LocalCluster(root, grace_seconds=5)

    def command(self, becomes: Checked) -> tuple[str, ...]:
        return command_that(becomes)

    async def until(self, condition):
        shown: tuple[ObservedReplica, ...] = ()

        async def holds() -> bool:
            nonlocal shown
            shown = await replicas(self.cluster)
            return bool(condition(shown))

        await eventually(holds, because="the replicas never came to be so")
        return shown

    async def until_gone(self) -> None:
        async def is_gone() -> bool:
            shown: dict[str, ObservedWorkload] = dict(await self.cluster.observe())
            return DEPLOYMENT not in shown

        await eventually(is_gone)

    async def write(self, replica_id, line):
        await self.tell(replica_id, f"echo '{line}'")

    async def exit(self, replica_id, *, status=None, signal=None):
        await self.tell(replica_id, f"kill -{signal} $$" if signal else f"exit {status}")

    async def tell(self, replica_id: str, order: str) -> None:
        """Make an obedient replica do something; returns when it is sure to."""
        fifo = next(self.root.glob(f"deployments/*/{replica_id}/cwd")) / "tell"

        def is_taken() -> bool:
            try:
                descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno not in (errno.ENXIO, errno.ENOENT):
                    raise
                return False
            os.write(descriptor, f"{order}\n".encode())
            os.close(descriptor)
            return True

        await eventually(is_taken)


@pytest.fixture(params=["memory", "local", "kubernetes"])
async def world(request, tmp_path) -> AsyncIterator[World]:
    """Each cluster in turn, empty."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    if request.param == "kubernetes":
        simulated = request.getfixturevalue("simulated_cluster")
        namespace = request.getfixturevalue("simulated_namespace")
        async with (
            before(simulated.kubeconfig, tmp_path) as proxy,
            on_simulated_nodes(simulated, namespace, PlayedKubelets(proxy), proxy.kubeconfig) as nodes,
        ):
            yield nodes
        return
    local = LocalWorld(tmp_path / "home/replicas")
    yield local
    await local.cluster.shutdown(grace_seconds=0)


@pytest.fixture
async def kubernetes_world(simulated_cluster, simulated_namespace) -> AsyncIterator[KubernetesWorld]:
    """The Kubernetes cluster alone, empty."""
    async with on_simulated_nodes(simulated_cluster, simulated_namespace) as nodes:
        yield nodes


@asynccontextmanager
async def on_simulated_nodes(
    simulated, namespace: str, kubelets: PlayedKubelets | None = None, kubeconfig: Path | None = None
) -> AsyncIterator[KubernetesWorld]:
    """kubelets: play what containers write, at a proxy to which that kubeconfig leads."""
    prepare(simulated.client, namespace)
    timing = Timing(grace_s=5, drain_s=30)
    async with KubernetesCluster.opened(
        kubeconfig or simulated.kubeconfig, namespace=namespace, machine_types=bundled(), timing=timing
    ) as cluster:
        yield KubernetesWorld(cluster, simulated, namespace, replicas, kubelets)


@pytest.fixture
async def local_world(tmp_path) -> AsyncIterator[LocalWorld]:
    """The local cluster alone, empty."""
    local = LocalWorld(tmp_path / "home/replicas")
    yield local
    await local.cluster.shutdown(grace_seconds=0)
