"""The reconciler and health start anew on a real Kubernetes API whose first lists are old ones.

It holds promises 2 and 5: no pod is made or deleted because of what was true some time ago, and nothing of it
is told as a fact.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial

import pytest
from aiohttp import web

from libs.common.cluster.kubernetes import names
from libs.common.events.envelope import select
from libs.common.events.rollout import RolloutPhase
from libs.common.ids import new_id
from libs.common.log.port import EventLog
from libs.common.spec.model import Resources, Spec
from tests.support.fault_proxy import FaultProxy, Forward, before, hold
from tests.support.kubelab.client import Client
from tests.support.kubernetes_world import prepare
from tests.support.old_lists import OldLists
from tests.support.on_kubernetes import on_kubernetes
from tests.support.onlooker import Onlooker
from tests.support.play import Play
from tests.support.polling import eventually, let_time_pass
from tests.support.service_process import ServiceProcess

ALL = 1_000_000
OLD_FOR_S = 5.0
"""Longer than whoever sweeps waits, and than it takes until everything is compared again."""
QUIET_S = 2.0
"""Longer than any service waits before it says what it has to say."""


class RouterAlone(Play):
    """Health is a process here."""

    async def health(self) -> bool:
        return False


def spec(image: str, replicas: int) -> Spec:
    return Spec(
        name="demo", image=image, resources=Resources(machine_type="C4", ports=(8000,), replicas=replicas)
    )


CHANGES: dict[str, tuple[Spec | None, Spec | None]] = {
    "grown": (spec("a", 2), spec("a", 3)),
    "shrunk": (spec("a", 3), spec("a", 2)),
    "changed": (spec("a", 2), spec("b", 2)),
    "created": (None, spec("a", 2)),
    "deleted": (spec("a", 2), None),
    "the same": (spec("a", 2), spec("a", 2)),
}
"""What each deployment was at the time of the lists, and what it is since."""


@pytest.fixture
async def proxy(simulated_cluster, simulated_namespace, tmp_path):
    prepare(simulated_cluster.client, simulated_namespace)
    async with before(simulated_cluster.kubeconfig, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def services(proxy, simulated_namespace, log_client, nats_endpoint, tmp_path):
    assert log_client.is_connected
    environment = on_kubernetes(proxy.kubeconfig, simulated_namespace)
    found = [
        ServiceProcess(name, tmp_path, nats_endpoint.url, **environment) for name in ("reconciler", "health")
    ]
    for one in found:
        one.start()
    yield found
    proxy.mend()
    for one in found:
        if one.is_running:
            assert one.end(signal.SIGTERM) == 0


async def _become(play: RouterAlone, wanted: Spec | None) -> None:
    if wanted is not None:
        spec_id = await play.register(wanted)
        assert spec_id is not None
        await play.settles(spec_id, RolloutPhase.COMPLETE)
        return
    await play.delete()

    async def is_removed() -> bool:
        view = await play.view()
        return view is None or view.rollout.is_removed

    await play.until(is_removed)


class World:
    """The platform as far as it is here: pods, and a deployment for each change."""

    def __init__(self, log: EventLog, client: Client, namespace: str, plays: dict[str, RouterAlone]) -> None:
        self.plays = plays
        self._log = log
        self.lists = OldLists(client, namespace)
        self._client = client
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    async def pods(self) -> dict[str, str]:
        """The uid of each, by name."""
        listed = (await asyncio.to_thread(self._client.get, self._pods))["items"]
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in listed}

    async def become(self, number: int) -> None:
        """Each deployment what it was first, or what it is then; every pod is a replica's by then."""
        await asyncio.gather(*(_become(play, CHANGES[name][number]) for name, play in self.plays.items()))
        wanted = sum(each[number].resources.replicas for each in CHANGES.values() if each[number])

        async def is_so() -> bool:
            return len(await self.pods()) == wanted

        await eventually(is_so, because="there are not as many pods as replicas")

    async def settle(self) -> None:
        """The roster is what the server has, so health has nothing more to tell, and nobody else has."""
        for play in self.plays.values():
            await play.until(partial(_is_settled, play))

        async def is_so() -> bool:
            # The onlooker may hear of it as late as health does.
            present = {names.replica_of(name) for name in await self.pods()}
            views = [await play.view() for play in self.plays.values()]
            return present == {one.replica_id for view in views if view for one in view.roster.replicas}

        await eventually(is_so, because="the roster is not what the server has")

    async def told(self, after: int = 0) -> list[str]:
        """What the log says since."""
        found = self._log.read(select(), after=after)
        return [f"{event.sequence} {event.type} {event.aggregate.id} {event.fact}" async for event in found]

    async def grow_quiet(self) -> int:
        """Until nothing more is told; the newest event."""

        async def is_quiet() -> bool:
            before = await self._log.last_sequence()
            await let_time_pass(QUIET_S)
            return await self._log.last_sequence() == before

        await eventually(is_quiet, because="there is always more to tell")
        return await self._log.last_sequence()


@pytest.fixture
async def world(jetstream_log, simulated_cluster, simulated_namespace) -> AsyncIterator[World]:
    async with Onlooker.of(simulated_cluster.kubeconfig, simulated_namespace) as onlooker:
        plays = {name: RouterAlone(jetstream_log, onlooker, new_id()) for name in CHANGES}
        yield World(jetstream_log, simulated_cluster.client, simulated_namespace, plays)


@pytest.mark.parametrize("old", [("pods",), ("configmaps",), ("pods", "configmaps")], ids="+".join)
async def test_nothing_is_done_or_told_because_of_a_list_that_is_old(
    old: tuple[str, ...], proxy: FaultProxy, services: list[ServiceProcess], world: World
):
    await world.become(0)
    await asyncio.to_thread(world.lists.remember)
    await world.become(1)
    await world.settle()
    newest = await world.grow_quiet()
    present = await world.pods()

    for one in services:
        assert one.end(signal.SIGKILL) == -signal.SIGKILL
    led_before = [one.said.count("lease taken") for one in services]
    is_over = asyncio.Event()
    effects: list[str] = []

    async def note(request: web.Request, forward: Forward) -> web.StreamResponse:
        response = await forward()
        if response.status < 300:
            effects.append(f"{request.method} {request.path}")
        return response

    for method in ("POST", "DELETE"):
        proxy.on(method, "pods", note, times=ALL)
    for resource in old:
        proxy.on("WATCH", resource, hold(asyncio.Event(), is_over), times=ALL)
        proxy.on("GET", resource, world.lists.fault, times=ALL)
        world.lists.left[resource] = len(services)
    for one in services:
        one.start()
    await eventually(lambda: world.lists.left.total() == 0)

    def all_lead_again() -> bool:
        return all(
            one.said.count("lease taken") > before for one, before in zip(services, led_before, strict=True)
        )

    await eventually(all_lead_again)
    await let_time_pass(OLD_FOR_S)
    assert await world.pods() == present
    is_over.set()
    await world.settle()
    await let_time_pass(OLD_FOR_S)
    assert await world.pods() == present
    # What is gone for long may be told to end.
    assert effects == []
    told = await world.told(after=newest)
    assert not told, "\n".join(told)


async def _is_settled(play: RouterAlone) -> bool:
    view = await play.view()
    if view is None:
        return True
    shown, listed, ready = (
        {replica.replica_id for replica in each}
        for each in (await play.observed(), view.roster.replicas, view.roster.ready())
    )
    return shown == listed == ready
