"""Two reconcilers on a real Kubernetes API: one is stopped at each of its writes while the other goes on.

It holds promise 2: nothing of the old plan survives, no newer one is overwritten, and no replica is doubled
or orphaned. Each deployment is stopped at another write, all of them at once.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
from nats.aio.msg import Msg

from libs.common.bus import subjects
from libs.common.bus.heartbeat import Heartbeat
from libs.common.clock import monotonic
from libs.common.cluster.kubernetes import names
from libs.common.events.envelope import Recorded, select
from libs.common.events.rollout import RolloutPhase
from libs.common.ids import new_id
from libs.common.spec.model import Resources, Spec
from tests.support.fault_proxy import FaultProxy, before
from tests.support.held_writes import HeldWrites, Place, When, Written
from tests.support.killing import SEED_VARIABLE, choose_seed
from tests.support.kubelab.client import Client
from tests.support.kubernetes_world import prepare
from tests.support.on_kubernetes import on_kubernetes
from tests.support.onlooker import Onlooker
from tests.support.play import Play
from tests.support.polling import eventually, let_time_pass
from tests.support.service_process import ServiceProcess

ALL = 1_000_000
LONGER_THAN_A_REQUEST_S = 31.0
DELETED = 0.4
"""How many of those that could become something else are deleted."""

Plays = dict[str, tuple[Play, str, Place]]
"""By deployment, with the change in which it is stopped, and where."""

COURSE = {
    "created": [Place("POST", "configmaps"), Place("POST", "pods", 1), Place("POST", "pods", 2)],
    "changed": [
        Place("PUT", "configmaps", 1),
        Place("POST", "pods", 1),
        Place("POST", "pods", 2),
        Place("PUT", "configmaps", 2),
        Place("DELETE", "pods", 1),
        Place("DELETE", "pods", 2),
    ],
    "deleted": [
        Place("PUT", "configmaps", 1),
        Place("DELETE", "pods", 1),
        Place("DELETE", "pods", 2),
        Place("PUT", "configmaps", 2),
    ],
}
"""Every write of a deployment of two that comes, gets another run, and goes."""


def spec(image: str, replicas: int) -> Spec:
    return Spec(
        name="demo", image=image, resources=Resources(machine_type="C4", ports=(8000,), replicas=replicas)
    )


class Copies:
    """Two reconcilers, each with a proxy of its own before the API server."""

    def __init__(self, written: Written, client: Client, namespace: str) -> None:
        self.written = written
        self.processes: list[ServiceProcess] = []
        self.proxies: list[FaultProxy] = []
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._client = client
        self._beats: dict[int, Heartbeat] = {}

    async def hear(self, message: Msg) -> None:
        beat = Heartbeat.model_validate_json(message.data)
        self._beats[beat.pid] = beat

    async def start(self, number: int) -> None:
        """Returns when it is ready, to lead or to take over."""
        self.processes[number].start()
        pid = self.processes[number].pid
        await eventually(lambda: pid in self._beats and self._beats[pid].is_ready)

    async def leads(self, number: int) -> None:
        def does() -> bool:
            said = self.processes[number].said
            return said.count("lease taken") > said.count("lease given up")

        await eventually(does, every_s=0.05, because="the other copy does not lead")

    async def pods(self) -> set[str]:
        """The replicas that have one."""
        listed = (await asyncio.to_thread(self._client.get, self._pods))["items"]
        return {names.replica_of(pod["metadata"]["name"]) for pod in listed}


@pytest.fixture
async def copies(simulated_cluster, simulated_namespace, log_client, nats_endpoint, tmp_path):
    prepare(simulated_cluster.client, simulated_namespace)
    found = Copies(Written(), simulated_cluster.client, simulated_namespace)
    async with AsyncExitStack() as stack:
        for number in ("1", "2"):
            directory = tmp_path / f"proxy-{number}"
            directory.mkdir()
            proxy = await stack.enter_async_context(before(simulated_cluster.kubeconfig, directory))
            proxy.on("*", "*", HeldWrites(found.written).fault, times=ALL)
            environment = {
                "SPECSTREAM_COPY_NUMBER": number,
                **on_kubernetes(proxy.kubeconfig, simulated_namespace),
            }
            found.proxies.append(proxy)
            found.processes.append(ServiceProcess("reconciler", tmp_path, nats_endpoint.url, **environment))
        subscription = await log_client.subscribe(subjects.HEARTBEATS, cb=found.hear)
        yield found
        await subscription.unsubscribe()
        running = [process for process in found.processes if process.is_running]
        for process in running:
            process.go_on()
        assert [process.end(signal.SIGTERM) for process in running] == [0] * len(running)


@pytest.fixture
async def plays(jetstream_log, simulated_cluster, simulated_namespace) -> AsyncIterator[Plays]:
    async with Onlooker.of(simulated_cluster.kubeconfig, simulated_namespace) as onlooker:
        found = [
            (Play(jetstream_log, onlooker, new_id()), change, place)
            for change, places in COURSE.items()
            for place in places
        ]
        yield {play.deployment_id: (play, change, place) for play, change, place in found}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["killed", "paused", "paused for long"])
async def test_one_is_stopped_at_each_of_its_writes_and_the_other_goes_on(
    copies: Copies, plays: Plays, when: When, how: str
):
    seed = choose_seed()
    print(f"{SEED_VARIABLE}={seed}")
    draw = random.Random(seed)
    one, other = 0, 1
    await copies.start(one)
    await copies.leads(one)
    await _made(plays)

    held = HeldWrites(copies.written, when=when)
    held.places = {deployment_id: place for deployment_id, (_, _, place) in plays.items()}
    copies.proxies[one].mend()
    copies.proxies[one].on("*", "*", held.fault, times=ALL)
    await _changed_until_all_are_held(plays, held)

    await copies.start(other)
    if how == "killed":
        assert copies.processes[one].end(signal.SIGKILL) == -signal.SIGKILL
    else:
        await copies.processes[one].pause()
    stopped_at = monotonic()
    wanted: dict[str, str | None] = {}
    for deployment_id, (play, change, _) in plays.items():
        if change == "deleted" or draw.random() < DELETED:
            await play.delete()
            wanted[deployment_id] = None
        else:
            wanted[deployment_id] = await play.register(spec("c", 3))
    await copies.leads(other)
    carried_out = (_is_carried_out(plays[each][0], spec_id) for each, spec_id in wanted.items())
    await asyncio.gather(*carried_out)
    if how == "paused for long":
        await let_time_pass(max(0.0, LONGER_THAN_A_REQUEST_S - (monotonic() - stopped_at)))
    log = next(iter(plays.values()))[0].log
    last = await log.last_sequence()

    held.let_go()
    if how == "killed":
        starting = asyncio.create_task(copies.start(one))
    else:
        copies.processes[one].go_on()

    async def there_are_only_replicas() -> bool:
        pods = await copies.pods()
        shown = {replica.replica_id for play, _, _ in plays.values() for replica in await play.observed()}
        number = 3 * sum(spec_id is not None for spec_id in wanted.values())
        return held.answers.keys() == plays.keys() and pods == shown and len(pods) == number

    await eventually(there_are_only_replicas, every_s=0.1, because="not all pods are replicas")
    if how == "killed":
        await starting
    # Longer than whoever sweeps waits, and than a comparison of everything takes to come.
    await let_time_pass(4)
    # What a copy that goes on has still made meanwhile is swept, too.
    await eventually(there_are_only_replicas, every_s=0.1, because="not all pods are replicas any more")
    assert await log.last_sequence() == last
    _nothing_was_done_twice(copies.written, [event async for event in log.read(select())])


async def _made(plays: Plays) -> None:
    """What is to be changed or deleted later."""
    settling = []
    for play, change, _ in plays.values():
        if change != "created":
            spec_id = await play.register(spec("a", 2))
            assert spec_id is not None
            settling.append(play.settles(spec_id, RolloutPhase.COMPLETE))
    await asyncio.gather(*settling)


async def _changed_until_all_are_held(plays: Plays, held: HeldWrites) -> None:
    for play, change, _ in plays.values():
        await (play.delete() if change == "deleted" else play.register(spec("b", 2)))

    async def is_held(deployment_id: str) -> bool:
        return deployment_id in held.reached

    await asyncio.gather(*(play.until(partial(is_held, each)) for each, (play, _, _) in plays.items()))


async def _is_carried_out(play: Play, spec_id: str | None) -> None:
    if spec_id is not None:
        await play.settles(spec_id, RolloutPhase.COMPLETE)
        return

    async def is_removed() -> bool:
        view = await play.view()
        return view is not None and view.rollout.is_removed

    await play.until(is_removed)


def _nothing_was_done_twice(written: Written, events: list[Recorded]) -> None:
    assert written.stepped_back() == {}
    assert {name for name, times in written.made.items() if times > 1} == set()
    for anchors in written.listed.values():
        assert all(number <= 3 for counted in anchors for number in counted.values())
    told = Counter(
        (event.aggregate.id, event.type, str(event.data.get("spec_id") or event.data.get("replica_ids")))
        for event in events
        if event.type in {"SpecHealthy", "ReplicasRetiring", "WorkloadRemoved", "SpecFailed"}
    )
    assert {key for key, times in told.items() if times > 1 or "SpecFailed" in key} == set()
