"""The whole platform while its watches of a real Kubernetes API are silent, late, or cannot be had.

Lists and single objects are answered all the time, so all that is wrong is when changes are heard of.
"""

import asyncio
from collections import Counter

import pytest

from tests.support.fault_proxy import answer, before
from tests.support.hasty_watcher import HASTY, SILENT_S
from tests.support.on_kubernetes import WATCHERS, on_kubernetes, pods, problems, shown, spec_of
from tests.support.polling import eventually, let_time_pass

ALL = 1_000_000
LATE_S = 3.0


def silence(proxy):
    proxy.silence_watches()


def break_off(proxy):
    proxy.on("WATCH", "*", answer(503, "no watches today"), times=ALL)
    proxy.cut_watches()


@pytest.fixture
async def proxy(kubernetes_world, tmp_path):
    async with before(kubernetes_world.kubeconfig, tmp_path) as proxy:
        proxy.reminds_every_s = 0.5
        yield proxy
        proxy.mend()


@pytest.fixture
async def platform(own_platform, kubernetes_world, proxy):
    own_platform.environment |= {
        **HASTY,
        **on_kubernetes(proxy.kubeconfig, kubernetes_world.namespace),
    }
    await own_platform.start_and_wait()
    return own_platform


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        pytest.param(silence, f"was silent for {SILENT_S:g} s again", id="silent"),
        pytest.param(break_off, "no watches today", id="broken"),
    ],
)
async def test_everything_holds_while_no_watch_tells_anything(
    platform, proxy, kubernetes_world, trouble, words
):
    deployment_id = await platform.deploy(spec_of("watched"))
    await platform.at_rest(deployment_id)
    first = await pods(kubernetes_world)
    trouble(proxy)

    async def is_said():
        found = await problems(platform)
        return all(words in found.get(name, "") for name in WATCHERS)

    await eventually(is_said, every_s=0.2)
    proxy.writes.clear()
    last = (await platform.events(deployment_id))[-1]["sequence"]
    lost = min(first)
    await asyncio.to_thread(kubernetes_world.client.delete, kubernetes_world.pod_path(lost))
    await platform.submit(spec_of("watched", VERSION="2"))
    # Long enough for each to list, open a watch and find it dead once more.
    await let_time_pass(2 * SILENT_S)
    assert await is_said()
    told = await platform.events(deployment_id, after=last)
    assert [one["type"] for one in told] == ["SpecRegistered"]
    assert proxy.writes == []
    assert (await pods(kubernetes_world)).keys() <= first.keys()

    proxy.mend()
    await platform.healthy()
    await platform.settled(deployment_id)
    second = await pods(kubernetes_world)
    assert await shown(platform, deployment_id) == second.keys()
    assert not first.keys() & second.keys()
    stopped = await platform.events(deployment_id, type="ReplicaStopped", after=last)
    assert [one["data"]["replica_id"] for one in stopped].count(lost) == 1


async def test_what_every_watch_tells_late_is_carried_out_once(platform, proxy, kubernetes_world):
    world = kubernetes_world
    deployment_id = await platform.deploy(spec_of("late"))
    last = (await platform.at_rest(deployment_id))[-1]["sequence"]
    first = await pods(world)
    proxy.watches_are_late_by_s = LATE_S
    lost = min(first)
    await asyncio.to_thread(world.client.delete, world.pod_path(lost))
    await platform.submit(spec_of("late", VERSION="2"))
    await platform.submit(spec_of("late", replicas=3, VERSION="3"))
    await platform.at_rest(deployment_id)
    second = await pods(world)
    assert len(second) == 3
    assert await shown(platform, deployment_id) == second.keys()
    assert not first.keys() & second.keys()

    told = await platform.events(deployment_id, after=last)
    # The second version may have had replicas too, each of which has left again.
    started = {one["data"]["replica_id"] for one in told if one["type"] == "ReplicaStarted"}
    stopped = Counter(one["data"]["replica_id"] for one in told if one["type"] == "ReplicaStopped")
    assert stopped == dict.fromkeys(first.keys() | started - second.keys(), 1)
    applied = Counter(
        (one["data"]["spec_id"], str(one["data"]["runs"])) for one in told if one["type"] == "SpecApplied"
    )
    assert set(applied.values()) == {1}
    assert not [one for one in told if one["type"] in {"ReplicaRestarted", "SpecFailed"}]
    await platform.healthy()

    await platform.delete(deployment_id)
    await platform.gone(deployment_id)
    assert await pods(world) == {}
    await platform.verified()
