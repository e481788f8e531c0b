"""Replicas that crash, hang or never come up: what is shown, what goes on, what is started again."""

import asyncio
import os
import signal
import sys

import httpx
import pytest

from tests.support.live_platform import LivePlatform, checked, hello
from tests.support.plain_http import plain_client
from tests.support.polling import eventually

CHECKS = checked(failure_threshold=1)


async def test_a_crashing_replica_is_started_again_and_shown_with_its_exit_status(any_platform):
    deployment_id = await any_platform.deploy(hello("crashes"))
    ((replica_id, pid),) = (await any_platform.replica_pids(deployment_id)).items()
    await _crash(any_platform, replica_id, pid)

    async def is_restarted() -> bool:
        # By what is shown: what the log says, it may show a moment later.
        (instance,) = await any_platform.instances(deployment_id)
        return bool(instance["restarts"] == 1)

    await eventually(is_restarted, because="it was not started again")
    await any_platform.settled(deployment_id)
    again = (await any_platform.replica_pids(deployment_id))[replica_id]
    assert again != pid
    # The first restart is at once; the second waits, so that it can be seen.
    await _crash(any_platform, replica_id, again)

    async def is_failed() -> dict | None:
        (instance,) = await any_platform.instances(deployment_id)
        return instance if instance["state"] == "failed" else None

    failed = await eventually(is_failed, because="it is not shown as failed")
    assert failed["id"] == replica_id
    assert failed["stateMessage"] == "exited with status 3"
    assert failed["dtFinished"]
    await any_platform.delete(deployment_id)
    await any_platform.gone(deployment_id)


async def test_a_replica_that_is_killed_costs_no_call_and_comes_back(any_platform):
    deployment_id = await any_platform.deploy(hello("killed", replicas=2))
    before = await any_platform.replica_pids(deployment_id)
    killed = min(before)
    async with any_platform.calling(deployment_id, lanes=4, allows_repeats=True) as caller:
        os.kill(before[killed], signal.SIGKILL)

        async def restarted() -> list[dict]:
            return await any_platform.events(deployment_id, type="ReplicaRestarted")

        (event,) = await eventually(restarted, because="no restart is recorded")
        await any_platform.settled(deployment_id)
        count = len(caller.calls)
        await eventually(lambda: killed in {call.replica_id for call in caller.calls[count:]})
    assert not caller.failures()
    after = await any_platform.replica_pids(deployment_id)
    assert after.keys() == before.keys()
    assert {replica_id for replica_id in before if after[replica_id] != before[replica_id]} == {killed}
    assert (event["data"]["replica_id"], event["data"]["message"]) == (killed, "ended by signal 9")


async def test_a_run_that_never_becomes_ready_leaves_the_old_one_serving(any_platform):
    deployment_id = await any_platform.deploy(hello("unready", checks=CHECKS))
    first = await any_platform.spec(deployment_id)
    async with any_platform.calling(deployment_id) as caller:
        await any_platform.submit(hello("unready", checks=CHECKS, START_SECONDS="3600"))

        async def is_told() -> bool:
            wanted, old = await any_platform.runs(deployment_id)
            assert (old["id"], old["readyReplicas"]) == (first["runId"], 1)
            messages = [instance["stateMessage"] or "" for instance in wanted["instances"]]
            return any("readiness" in message and "503" in message for message in messages)

        async def has_two_runs() -> bool:
            return len(await any_platform.runs(deployment_id)) == 2

        await eventually(has_two_runs)
        await eventually(is_told, because="the runs do not say why it is not ready")
        assert (await any_platform.spec(deployment_id))["dtHealthy"] is None
        await any_platform.submit(hello("unready", checks=CHECKS))
        await any_platform.settled(deployment_id)
    assert not caller.failures()


async def test_a_run_that_crashes_leaves_the_old_one_serving(any_platform):
    deployment_id = await any_platform.deploy(hello("crashing-run"))
    broken = {
        **hello("crashing-run"),
        "command": [sys.executable, "-c", "print('last words', flush=True); raise SystemExit(7)"],
    }
    async with any_platform.calling(deployment_id) as caller:
        await any_platform.submit(broken)

        async def is_told() -> bool:
            messages = [one["stateMessage"] for one in await any_platform.instances(deployment_id)]
            return "exited with status 7" in messages

        await eventually(is_told, because="the runs do not name the exit status")

        async def has_said() -> bool:
            lines = await any_platform.get(f"/deployments/{deployment_id}/logs", limit=120)
            return any(line["message"] == "last words" for line in lines["items"])

        await eventually(has_said, because="the last words are not in the logs")

        async def is_applied() -> bool:
            # Health may tell of its replicas before the reconciler says that it was applied.
            spec = await any_platform.spec(deployment_id)
            assert (spec["error"], spec["dtHealthy"]) == (None, None)
            return bool(spec["externalApplied"])

        await eventually(is_applied)
    assert not caller.failures()
    await any_platform.delete(deployment_id)
    await any_platform.gone(deployment_id)


async def test_what_the_cluster_cannot_run_is_refused_and_costs_the_present_spec_nothing(shared_platform):
    deployment_id = await shared_platform.deploy(hello("imageless"))
    config = hello("imageless")
    del config["command"]
    answer = await shared_platform.ask(
        "POST", "/deployments", json={"config": config, "projectId": "default"}
    )
    assert answer.status_code == 400
    (issue,) = answer.json()["issues"]
    assert issue["path"] == ["config", "command"]
    assert "container runtime" in issue["message"]
    assert (await shared_platform.spec(deployment_id))["error"] is None


async def test_a_failed_liveness_check_restarts_only_that_replica(any_platform):
    deployment_id = await any_platform.deploy(hello("sick", replicas=2, checks=CHECKS))
    before = await any_platform.replica_pids(deployment_id)
    async with any_platform.calling(deployment_id, allows_repeats=True) as caller:
        sick = (await caller.once("/live?set=off")).headers["x-specstream-replica"]

        async def is_another() -> bool:
            return any_platform.replica_processes(deployment_id).get(sick, [before[sick]]) != [before[sick]]

        await eventually(is_another, because="it was not restarted")
        await any_platform.settled(deployment_id)
    after = await any_platform.replica_pids(deployment_id)
    assert after.keys() == before.keys()
    assert {replica_id for replica_id in before if after[replica_id] != before[replica_id]} == {sick}
    assert not caller.failures()


async def test_a_failed_readiness_check_takes_the_traffic_away_and_restarts_nothing(any_platform):
    deployment_id = await any_platform.deploy(hello("resting", replicas=2, checks=CHECKS))
    before = await any_platform.replica_pids(deployment_id)
    async with any_platform.calling(deployment_id) as caller:
        resting = (await caller.once("/ready?set=off")).headers["x-specstream-replica"]

        async def states() -> list[str]:
            return sorted(one["state"] for one in await any_platform.instances(deployment_id))

        async def is_unready() -> bool:
            return await states() == ["running", "unready"]

        await eventually(is_unready, because="it is not shown as unready")
        unready_at = asyncio.get_running_loop().time()

        # The router hears of it at the same time as the api, and not before it.
        def has_stayed_away() -> bool:
            last = max(
                (call.ended for call in caller.calls if call.replica_id == resting), default=unready_at
            )
            return sum(call.sent > max(last, unready_at) for call in caller.calls) >= 40

        await eventually(has_stayed_away, because="it still has the traffic")
    assert not caller.failures()
    assert await any_platform.replica_pids(deployment_id) == before


async def test_without_a_ready_replica_calls_are_told_to_come_again(any_platform):
    deployment_id = await any_platform.deploy(hello("alone", checks=CHECKS))
    async with any_platform.calling(deployment_id) as caller:
        await caller.once("/ready?set=off")
        await eventually(lambda: caller.calls[-1].status == 503)
        answer = await caller.once()
    assert answer.json()["error_code"] == "no_ready_replicas"
    assert int(answer.headers["retry-after"]) > 0


async def _crash(platform: LivePlatform, replica_id: str, pid: int) -> None:
    """Asked of the replica itself: Envoy would try a request that nobody began to answer again."""
    address = await platform.address(replica_id, pid)
    async with plain_client() as http:
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://{address}/crash?status=3")
