"""The etcd of a Kubernetes cluster is restored from a backup while the log is newer: the log wins.

It holds promise 2: what the log says is carried out, once, and nothing older overwrites it.
"""

import asyncio
from collections import Counter

import pytest

from tests.support.on_kubernetes import pods, shown, spec_of
from tests.support.polling import eventually, let_time_pass


@pytest.fixture
async def platform(own_platform, world):
    return await world.started(own_platform, SPECSTREAM_COPIES="2")


@pytest.mark.parametrize("is_advanced", [False, True], ids=["versions of before", "later versions"])
async def test_what_was_decided_after_the_backup_is_carried_out_again_and_nothing_of_before(
    platform, world, is_advanced
):
    changed = await platform.deploy(spec_of("changed", replicas=2))
    deleted = await platform.deploy(spec_of("deleted", replicas=1))
    old = set(await pods(world))
    await asyncio.to_thread(world.plane.save_state)

    await platform.submit(spec_of("changed", replicas=3, VERSION="2"))
    await platform.settled(changed)
    created = await platform.deploy(spec_of("created", replicas=1))
    await platform.delete(deleted)

    async def only(deployments):
        present = set(await pods(world))
        return present == set().union(*[await shown(platform, one) for one in deployments]) and present

    new = await eventually(lambda: only([changed, created]), every_s=0.5)
    assert (len(new), new & old) == (4, set())

    marker = f"/api/v1/namespaces/{world.namespace}/configmaps"
    await asyncio.to_thread(world.client.create, marker, {"metadata": {"name": "of-after-the-backup"}})
    await asyncio.to_thread(world.plane.restore_state, is_advanced=is_advanced)
    gone = await asyncio.to_thread(world.client.ask, "GET", f"{marker}/of-after-the-backup")
    assert gone.status_code == 404

    async def is_as_the_log_says():
        present = await only([changed, created])
        return len(present or ()) == 4 and not present & old and present

    after = await eventually(is_as_the_log_says, within_s=180, every_s=0.5)
    await platform.settled(changed)
    await platform.settled(created)
    spec = await platform.spec(changed)
    assert [(run["id"], run["readyReplicas"]) for run in await platform.runs(changed)] == [(spec["runId"], 3)]

    # And it stays so: no old plan, and no copy that has not noticed, brings anything back.
    await asyncio.gather(platform.at_rest(changed), platform.at_rest(created))
    last = (await platform.events())[-1]["sequence"]
    await let_time_pass(5)
    assert set(await pods(world)) == after
    # That a pod of before has ended may be noticed late.
    later = await platform.events(after=last)
    assert [one for one in later if one["data"].get("replica_id", next(iter(old))) not in old] == []
    assert {one["type"] for one in later} <= {"ReplicaStopped", "RosterRecorded"}
    # The pods of before were there once more, which is told, and have gone once more.
    stopped = Counter(one["data"]["replica_id"] for one in await platform.events(type="ReplicaStopped"))
    assert {replica_id for replica_id, times in stopped.items() if times > 1} <= old
    await platform.verified()
