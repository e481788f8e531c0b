"""Each service dies between its effects: before it appends, after it appended, after it spawned.

One life of a deployment for each point: create, update, delete, under calls; the service dies at the first
effect of that kind.
"""

import pytest

from tests.support.dying_service import ORDERS, order_of
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually

POINTS = [
    ("api", "before SpecRegistered"),
    ("api", "after SpecRegistered"),
    ("api", "before DeploymentDeleted"),
    ("api", "after DeploymentDeleted"),
    ("reconciler", "before apply"),
    ("reconciler", "after apply"),
    ("reconciler", "after SpecApplied"),
    ("reconciler", "before ReplicasRetiring"),
    ("reconciler", "after ReplicasRetiring"),
    ("reconciler", "after remove"),
    ("health", "before ReplicaStarted"),
    ("health", "after ReplicaStarted"),
    ("health", "before ReplicaBecameReady"),
    ("health", "after ReplicaBecameReady"),
    ("health", "before ReplicaStopped"),
    ("router", "before EndpointsWithdrawn"),
    ("router", "after EndpointsWithdrawn"),
]


@pytest.fixture(scope="module")
async def platform(tmp_path_factory):
    platform = LivePlatform(tmp_path_factory.mktemp("dying") / "home", **ORDERS)
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.mark.parametrize(("service", "point"), POINTS, ids=[f"{s} {p}" for s, p in POINTS])
async def test_a_death_between_effects_loses_nothing(platform, service, point):
    name = f"{service} {point}"
    before = platform.pid(service)
    order = order_of(platform.home, service)
    order.write_text(point)
    deployment_id = await platform.deploy(hello(name))
    async with platform.calling(deployment_id) as caller:
        await platform.submit(hello(name, VERSION="2"))
        spec = await platform.settled(deployment_id)
        assert len(await platform.replica_pids(deployment_id)) == 1
        await eventually(lambda: caller.calls[-1].spec_id == spec["id"], within_s=30)
    assert not caller.failures()
    assert len(await platform.events(deployment_id, type="SpecRegistered")) == 2
    await platform.delete(deployment_id)
    await platform.gone(deployment_id)
    assert len(await platform.events(deployment_id, type="DeploymentDeleted")) == 1
    assert not order.exists(), "it never came to that point"
    await eventually(lambda: platform.pid(service) not in {None, before})
    await platform.healthy()
    await platform.verified()
