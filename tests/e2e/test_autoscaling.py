"""A deployment follows its load on a running platform: measured, decided, carried out; up and down again."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from libs.common.events.scaling import ReplicasDecided
from tests.support.decided_again import decided_again
from tests.support.dying_service import ORDERS, order_of
from tests.support.envoy_totals import totals_of
from tests.support.live_platform import Json, LivePlatform, load
from tests.support.pod_platform import pod_platform
from tests.support.polling import eventually
from tests.support.recorded_calls import Caller
from tests.support.scheduling import PODS

WORK_S = 0.04
"""Of a processor, by each call."""

QUICK = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}]},
    "scaleDown": {
        "stabilizationWindowSeconds": 5,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 2}],
    },
}
MACHINE_TYPES = "- {name: small, cpus: 0.25, memoryGib: 0.5}\n"


@pytest.fixture(scope="module")
async def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoscaling")
    (folder / "types.yaml").write_text(MACHINE_TYPES)
    platform = LivePlatform(
        folder / "home",
        SPECSTREAM_USAGE_SECONDS="1",
        SPECSTREAM_REQUEST_WINDOW_SECONDS="5",
        SPECSTREAM_MACHINE_TYPES=str(folder / "types.yaml"),
        **ORDERS,
    )
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


@pytest.fixture(scope="module")
async def platform_of_pods(measured_real_node, tmp_path_factory):
    """Where a machine type `small` is too. Kubelets measure every ten seconds."""
    home = tmp_path_factory.mktemp("autoscaling") / "home"
    async with pod_platform(
        measured_real_node, home, SPECSTREAM_USAGE_SECONDS="1", SPECSTREAM_REQUEST_WINDOW_SECONDS="5"
    ) as platform:
        yield platform


@pytest.fixture(params=["processes", PODS])
def platform_that_measures(request):
    return request.getfixturevalue({"processes": "platform", PODS: "platform_of_pods"}[request.param])


@dataclass
class Followed:
    """A deployment that begins with one replica, and everybody who calls it.

    first: the pid of that replica, by its id. apart: how many calls were answered that are in no record.
    """

    platform: LivePlatform
    deployment_id: str
    first: dict[str, int]
    callers: list[Caller] = field(default_factory=list)
    apart: int = 0

    @asynccontextmanager
    async def calling(self, path: str = "/", **how: int) -> AsyncIterator[None]:
        async with self.platform.calling(self.deployment_id, path, **how) as caller:
            self.callers.append(caller)
            yield

    async def call(self, path: str) -> str:
        """The replica that answered."""
        answer = await self.platform.caller(self.deployment_id).once(path)
        assert answer.status_code == 200, answer.text
        self.apart += 1
        return answer.headers["x-specstream-replica"]

    async def decisions(self) -> list[ReplicasDecided]:
        events = await self.platform.events(self.deployment_id, type="ReplicasDecided")
        assert {event["actor"] for event in events} <= {"service:autoscaler"}
        return [ReplicasDecided.model_validate(event["data"]) for event in events]

    async def has(self, number: int) -> None:
        """Wait until so many are ready."""

        async def it_has() -> bool:
            states = [one["state"] for one in await self.platform.instances(self.deployment_id)]
            return states.count("running") >= number

        await eventually(it_has)

    async def is_down(self) -> None:
        """Wait until one is left."""

        async def it_is() -> bool:
            decided = await self.decisions()
            return (
                decided[-1].to_replicas == 1 and len(await self.platform.instances(self.deployment_id)) == 1
            )

        await eventually(it_is)

    async def ended(self) -> list[ReplicasDecided]:
        """What is true of every load that has come and gone; its decisions. Nobody calls any more.

        The first replica is the one that it was, no call has failed, each decision follows the one before it
        and comes out of its own fact again, and Envoy has counted what the clients have.
        """
        assert not [failure for caller in self.callers for failure in caller.failures()]
        assert await self.platform.replica_pids(self.deployment_id) == self.first
        found = await self.decisions()
        assert found[0].from_replicas == 1 < found[0].to_replicas
        assert found[-1].to_replicas == 1
        for before, after in itertools.pairwise(found):
            assert after.from_replicas == before.to_replicas != after.to_replicas
        assert [decided_again(fact) for fact in found] == [fact.to_replicas for fact in found]
        answered = self.apart + sum(len(caller.served) for caller in self.callers)
        counted = await totals_of(self.platform, self.deployment_id, answered=answered)
        assert counted.answered == answered
        await self.platform.delete(self.deployment_id)
        return found


async def followed(platform: LivePlatform, name: str, autoscaling: Json) -> Followed:
    deployment_id = await platform.deploy(load(name, autoscaling))
    return Followed(platform, deployment_id, await platform.replica_pids(deployment_id))


def by_metric(metric: str, value: float, *, most: int = 3) -> Json:
    measured = {"metric": metric, "summary": "average", "value": value}
    return {"maxReplicas": most, "metrics": [measured], "behavior": QUICK}


async def test_cpu_load_adds_a_replica_and_its_end_takes_it_away(platform_that_measures):
    one = await followed(platform_that_measures, "by-cpu", by_metric("cpu", 50))
    async with one.calling():
        async with one.calling(f"/burn?seconds={WORK_S}"):
            await one.has(2)
        await one.is_down()
    assert (await one.ended())[0].to_replicas == 2
    await one.platform.healthy()
    await one.platform.verified()


async def test_memory_that_is_held_adds_a_replica_and_its_end_takes_it_away(platform_that_measures):
    """Of 512 MiB the first replica holds 400: 80 % and more of 60, so one more makes the average fit."""
    one = await followed(platform_that_measures, "by-memory", by_metric("memory", 60))
    (first,) = one.first

    async def holds(mib: int) -> bool:
        return await one.call(f"/hold?mib={mib}") == first

    async with one.calling(lanes=1):
        assert await holds(400)
        await one.has(2)
        await eventually(lambda: holds(0))
        await one.is_down()
    assert {fact.winner for fact in await one.ended()} == {"memory"}


async def test_requests_in_flight_add_replicas_at_once_and_their_end_takes_them_away(platform_that_measures):
    concurrency = {
        "target": 1,
        "targetUtilizationPercentage": 100,
        "windowSeconds": 10,
        "scaleDownDelaySeconds": 2,
    }
    one = await followed(platform_that_measures, "in-flight", {"maxReplicas": 3, "concurrency": concurrency})
    async with one.calling(lanes=1):
        async with one.calling("/sleep?seconds=1", lanes=6):
            await one.has(3)
        await one.is_down()
    assert all(fact.in_flight and (fact.in_flight.needed or 0) <= 3 for fact in await one.ended())


async def test_slow_answers_add_a_replica_a_window_apart_and_fast_ones_take_it_away(platform_that_measures):
    """With a window of five seconds."""
    one = await followed(platform_that_measures, "slow", by_metric("requestDuration", 0.1, most=2))
    async with one.calling("/sleep?seconds=0.3"):
        await one.has(2)
    async with one.calling(lanes=1):
        await one.is_down()
    assert {fact.winner for fact in await one.ended()} == {"requestDuration"}


@pytest.mark.parametrize("point", ["before ReplicasDecided", "after ReplicasDecided"])
async def test_an_autoscaler_that_dies_at_a_decision_loses_nothing(platform, point):
    one = await followed(platform, point, by_metric("cpu", 50, most=2))
    order = order_of(platform.home, "autoscaler")
    order.write_text(point)
    async with one.calling(f"/burn?seconds={WORK_S}"):
        await eventually(lambda: not order.exists())
        await one.has(2)
    await one.is_down()
    await one.ended()
    await platform.healthy()
