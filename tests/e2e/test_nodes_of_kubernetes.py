"""The whole platform while nodes are emptied, silent or full, and while what owns the pods is deleted.

The cluster is each test's own, since a node that is lost is lost for everybody.
"""

import asyncio

import pytest

from libs.common.clock import monotonic
from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.manifests import PRE_STOP_S
from tests.support.kubelab.nodes import simulated_node
from tests.support.kubelab.simulated import silence, unsilence
from tests.support.on_kubernetes import pods, shown, spec_of
from tests.support.polling import eventually, let_time_pass
from tests.support.tries import soon

WITHIN_S = 10.0
TRIES = 3

FULL = {"first-full", "second-full"}
PRODUCT = "Full"
"""Nodes of their own kind, each with one GPU."""
MACHINE_TYPES = f"""\
- {{name: whole, cpus: 1, memoryGib: 1, gpus: 1, nodeSelector: {{nvidia.com/gpu.product: {PRODUCT}}}}}
"""


@pytest.fixture
async def platform(own_platform, world):
    return await world.started(own_platform, SPECSTREAM_NODE_LOST_SECONDS="10")


async def test_a_drain_waits_until_its_lone_replica_has_moved_and_goes_through(platform, world):
    deployment_id = await platform.deploy(spec_of("drained", replicas=1))
    (first,) = await pods(world)
    node = await world.node_of(first)
    refused = await world.evict(first)
    assert refused.status_code == 429, refused.text
    drained = await world.drain(node)
    assert drained.returncode == 0, drained.stderr
    await platform.settled(deployment_id)
    (after,) = await pods(world)
    assert after != first
    assert await world.node_of(after) != node

    events = await platform.events(deployment_id)
    told = [
        one["type"]
        for one in events
        if one["data"].get("replica_id") in (first, after)
        or first in one["data"].get("replica_ids", ())
        or one["type"] == "ReplicasMoving"
    ]
    # That it moves is told once its successor is on its way, which may be ready by then.
    for before in ("ReplicasMoving", "ReplicaBecameReady"):
        course = [before, "ReplicasRetiring", "EndpointsWithdrawn"]
        at = [len(told) - 1 - told[::-1].index(kind) for kind in course]
        assert at == sorted(at), told
    (move,) = next(one["data"]["moves"] for one in events if one["type"] == "ReplicasMoving")
    assert (move["replica_id"], move["reason"]) == (first, "node_cordoned")
    (retired,) = [one["data"]["reason"] for one in events if one["type"] == "ReplicasRetiring"]
    assert retired == "moved"


async def ready_conditions(world):
    """What they are by now."""
    nodes = (await world.get("/api/v1/nodes"))["items"]
    return {one["status"] for node in nodes for one in node["status"]["conditions"] if one["type"] == "Ready"}


async def grown_after_silence(platform, world, deployment_id):
    """All nodes are silent, and back again: how many seconds after the first of them a change that was asked
    for meanwhile is carried out. Of the replicas that run nothing is said, and nothing becomes of them."""
    before = await pods(world)
    last = (await platform.events(deployment_id))[-1]["sequence"]
    world.plane.kwok.pause()

    async def are_all_silent():
        return await ready_conditions(world) == {"Unknown"}

    await eventually(are_all_silent, every_s=0.5)
    # Longer than it takes to believe it of one node and to replace what is there.
    await let_time_pass(25)
    assert await platform.events(deployment_id, after=last) == []
    await platform.submit(spec_of("silent", replicas=len(before) + 2))
    world.plane.kwok.go_on()

    async def is_one_back():
        return "True" in await ready_conditions(world)

    await eventually(is_one_back, every_s=0.2)
    began = monotonic()
    await platform.settled(deployment_id)
    took = monotonic() - began
    assert before.items() <= (await pods(world)).items()
    told = await platform.events(deployment_id, after=last)
    assert not [one for one in told if one["data"].get("replica_id") in before], told
    await platform.at_rest(deployment_id)
    return took


async def test_replicas_stay_while_all_nodes_are_silent_and_move_from_one_that_is(platform, world):
    deployment_id = await platform.deploy(spec_of("silent", replicas=4))
    await platform.at_rest(deployment_id)
    await soon(lambda: grown_after_silence(platform, world, deployment_id), WITHIN_S, tries=TRIES)
    before = await pods(world)
    last = (await platform.at_rest(deployment_id))[-1]["sequence"]

    lost = min(before)
    node = await world.node_of(lost)
    there = {one for one in before if await world.node_of(one) == node}
    await asyncio.to_thread(silence, world.client, node)

    async def have_moved():
        present = await shown(platform, deployment_id)
        return len(present) == len(before) and not there & present

    await eventually(have_moved, every_s=0.5)
    await platform.settled(deployment_id)
    facts = await platform.events(deployment_id, after=last)
    unready = {
        (one["data"]["replica_id"], one["data"]["reason"])
        for one in facts
        if one["type"] == "ReplicaBecameUnready"
    }
    assert {(one, "node_lost") for one in there} <= unready
    moved = {
        move["replica_id"]: move["reason"]
        for one in facts
        if one["type"] == "ReplicasMoving"
        for move in one["data"]["moves"]
    }
    assert moved == dict.fromkeys(there, "node_lost")
    # What nobody can tell the end of holds up no removal.
    await platform.delete(deployment_id)
    await platform.gone(deployment_id)


async def test_an_anchor_that_was_deleted_is_made_anew_with_its_replicas(platform, world):
    deployment_id = await platform.deploy(spec_of("pruned", replicas=2))
    before = await pods(world)
    path = f"/api/v1/namespaces/{world.namespace}/configmaps/{names.anchor_name(deployment_id)}"
    await asyncio.to_thread(world.client.delete, path)

    async def is_whole_again():
        present = await pods(world)
        is_new = len(present) == 2 and not before.keys() & present.keys()
        return is_new and await shown(platform, deployment_id) == present.keys()

    await eventually(is_whole_again, every_s=0.2)
    await platform.settled(deployment_id)
    assert len((await world.get(f"/api/v1/namespaces/{world.namespace}/pods"))["items"]) == 2


@pytest.fixture
async def full_platform(own_platform, world, tmp_path):
    """One whose machine type has no room for more than two replicas."""
    for name in FULL:
        node = simulated_node(name, gpus=1, product=PRODUCT)
        await asyncio.to_thread(world.client.create, "/api/v1/nodes", node)
    types = tmp_path / "machine-types.yaml"
    types.write_text(MACHINE_TYPES)
    return await world.started(
        own_platform, SPECSTREAM_NODE_LOST_SECONDS="10", SPECSTREAM_MACHINE_TYPES=str(types)
    )


def without_surge(replicas, **env):
    spec = spec_of("full", replicas=replicas, **env)
    spec["resources"] |= {"machineType": "whole", "surge": False}
    return spec


async def test_what_a_silent_node_keeps_makes_no_room_and_holds_nothing_up(full_platform, world):
    platform = full_platform
    deployment_id = await platform.deploy(without_surge(2))
    first = await pods(world)
    silent, other = sorted(FULL)
    (kept,) = [one for one in first if await world.node_of(one) == silent]
    await asyncio.to_thread(silence, world.client, silent)

    async def is_lost():
        told = await platform.events(deployment_id, type="ReplicaBecameUnready")
        return [one["data"]["reason"] for one in told if one["data"]["replica_id"] == kept] == ["node_lost"]

    await eventually(is_lost, every_s=0.2)

    # That one leaves first, and makes no room: so does the next one then.
    await platform.deploy(without_surge(1, VERSION="2"))
    (second,) = [one for one in await shown(platform, deployment_id) if one not in first]
    assert await world.node_of(second) == other
    leaving = await platform.at_rest(deployment_id)
    ended = [one["data"] for one in leaving if one["type"] == "ReplicaStopped"]
    assert next(one["replica_id"] for one in ended if one["replica_id"] in first) == kept

    # Now the only one that is there leaves first.
    await platform.deploy(without_surge(1, VERSION="3"))
    (third,) = await shown(platform, deployment_id)
    assert await world.node_of(third) == other
    await platform.at_rest(deployment_id)
    await platform.delete(deployment_id)
    await platform.gone(deployment_id)

    # Told to end with all its time, and never by force: it may be running.
    (left,) = (await world.get(f"/api/v1/namespaces/{world.namespace}/pods"))["items"]
    assert left["metadata"]["labels"][names.REPLICA] == kept
    assert left["metadata"]["deletionGracePeriodSeconds"] == PRE_STOP_S + int(
        platform.environment["SPECSTREAM_GRACE_SECONDS"]
    )
    await asyncio.to_thread(unsilence, world.client, silent)

    async def is_over():
        return (await world.get(f"/api/v1/namespaces/{world.namespace}/pods"))["items"] == []

    await eventually(is_over, every_s=0.2)
