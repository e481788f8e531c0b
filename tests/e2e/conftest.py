import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.kubelab.control_plane import ControlPlane
from tests.support.kubelab.fixtures import KubernetesCluster
from tests.support.kubelab.real_node import take_pods
from tests.support.kubernetes_world import prepare
from tests.support.live_platform import LivePlatform
from tests.support.on_kubernetes import OwnCluster, pods
from tests.support.pod_platform import PodPlatform, pod_platform
from tests.support.polling import eventually
from tests.support.scheduling import PODS


@pytest.fixture(scope="package")
async def _platform_of_all(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LivePlatform]:
    platform = LivePlatform(tmp_path_factory.mktemp("platform") / "home")
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.fixture
async def shared_platform(_platform_of_all: LivePlatform) -> AsyncIterator[LivePlatform]:
    """One for all tests that kill nothing; each brings deployments of its own, which end with it."""
    yield _platform_of_all
    await _platform_of_all.delete_all()


@pytest.fixture(scope="package")
async def _pods_of_all(
    real_node: KubernetesCluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PodPlatform]:
    async with pod_platform(real_node, tmp_path_factory.mktemp("pods") / "home") as platform:
        yield platform


@pytest.fixture
async def pods_platform(_pods_of_all: PodPlatform) -> AsyncIterator[PodPlatform]:
    """The same where replicas are pods on real nodes: each takes some, and the test before has left none."""

    async def is_empty() -> bool:
        return not await pods(_pods_of_all)

    await eventually(lambda: asyncio.to_thread(take_pods, _pods_of_all.client), every_s=0.2)
    await eventually(is_empty, every_s=0.2, because="pods of the test before are left")
    yield _pods_of_all
    await _pods_of_all.delete_all()


@pytest.fixture(params=["processes", PODS])
def any_platform(request: pytest.FixtureRequest) -> LivePlatform:
    """Each of the two: whatever uses it is true on both."""
    name = {"processes": "shared_platform", PODS: "pods_platform"}[request.param]
    return request.getfixturevalue(name)


@pytest.fixture
def world(own_kubernetes: ControlPlane) -> OwnCluster:
    """The cluster that a test has for itself, ready for pods."""
    prepare(own_kubernetes.client, OwnCluster.namespace)
    return OwnCluster(own_kubernetes)
