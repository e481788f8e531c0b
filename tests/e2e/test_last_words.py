"""What replicas wrote that crashed, that left and that are lost, as whoever looks for it finds it."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator

import pytest

from libs.common.bus import subjects
from tests.support.fault_proxy import before
from tests.support.live_platform import LivePlatform, hello
from tests.support.nats_users import connected_as
from tests.support.on_kubernetes import on_kubernetes, pods, spec_of, stopping_takes
from tests.support.played_kubelets import PlayedKubelets
from tests.support.polling import eventually


async def lines_of(platform: LivePlatform, deployment_id: str, *options: str) -> list[tuple[str, str]]:
    """(replica, message) of each line that the command line shows."""
    ended = await platform.cli("logs", deployment_id, "--json", *options)
    assert ended.returncode == 0, ended.stderr
    shown = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["id"] for line in shown] == sorted({line["id"] for line in shown})
    return [(line["instanceId"], line["message"]) for line in shown]


def begun(lines: list[tuple[str, str]]) -> list[str]:
    """The replica of each process that has begun."""
    return [replica for replica, message in lines if message.startswith("hello listens")]


async def test_a_crash_and_a_rollout_leave_their_lines_and_a_deletion_none(shared_platform):
    """On processes of this machine, whose logs stay where they are."""
    platform = shared_platform
    deployment_id = await platform.deploy(hello("spoke", VERSION="1"))
    ((first, pid),) = (await platform.replica_pids(deployment_id)).items()
    os.kill(pid, signal.SIGKILL)

    async def began_again() -> bool:
        return len(begun(await lines_of(platform, deployment_id))) == 2

    await eventually(began_again, every_s=0.2)
    await platform.settled(deployment_id)
    await platform.deploy(hello("spoke", VERSION="2"))
    (second,) = await platform.replica_pids(deployment_id)

    async def has_ended() -> bool:
        return (first, "hello has finished") in await lines_of(platform, deployment_id)

    await eventually(has_ended, every_s=0.2)
    shown = await lines_of(platform, deployment_id)
    assert begun(shown) == [first, first, second]
    assert await lines_of(platform, deployment_id, "--replica", first) == [
        one for one in shown if one[0] == first
    ]
    assert await lines_of(platform, deployment_id, "-n", "2") == shown[-2:]
    await platform.delete(deployment_id)
    ended = await platform.cli("logs", deployment_id)
    assert ended.returncode != 0
    assert ended.stdout == ""
    await platform.gone(deployment_id)
    deployments = platform.home / "replicas" / "deployments"
    await eventually(lambda: not (deployments / deployment_id).exists())


@pytest.fixture
async def played(
    own_platform, kubernetes_world, tmp_path
) -> AsyncIterator[tuple[LivePlatform, PlayedKubelets]]:
    """A platform on simulated nodes, and the kubelets that have what their containers wrote."""
    async with before(kubernetes_world.kubeconfig, tmp_path) as proxy:
        own_platform.environment |= on_kubernetes(proxy.kubeconfig, kubernetes_world.namespace)
        await own_platform.start_and_wait()
        try:
            yield own_platform, PlayedKubelets(proxy)
        finally:
            await own_platform.stop()


async def kept(platform: LivePlatform) -> int:
    """Messages of the stream that has content."""
    async with connected_as(platform, "health") as client:
        answer = await client.request(f"$JS.API.STREAM.INFO.{subjects.TAILS_STREAM}", b"{}", timeout=30)
        return int(json.loads(answer.data)["state"]["messages"])


async def test_what_pods_wrote_last_stays_when_they_are_gone(played, kubernetes_world):
    platform, kubelets = played
    deployment_id = await platform.deploy(spec_of("pods", replicas=1))
    (first,) = await pods(kubernetes_world)
    kubelets.write(first, "first process")
    kubelets.crash(first)
    await kubernetes_world.exit(first, status=3)

    async def is_kept() -> bool:
        return await kept(platform) == 1

    await eventually(is_kept, every_s=0.1)
    # The kubelet has the logs of two processes: the next crash takes away what the first one wrote.
    kubelets.write(first, "second process")
    kubelets.crash(first)
    kubelets.write(first, "third process")
    assert await lines_of(platform, deployment_id) == [
        (first, f"{number} process") for number in ("first", "second", "third")
    ]

    # The pod that leaves writes something while it ends, which it does not before health has seen it leave.
    path = kubernetes_world.pod_path(first)
    await asyncio.to_thread(kubernetes_world.client.patch, path, stopping_takes("3600s"))
    changing = asyncio.create_task(platform.deploy(spec_of("pods", replicas=1, VERSION="2")))
    await eventually(lambda: kubelets.followed(first), every_s=0.05)
    kubelets.write(first, "goodbye")
    kubelets.end(first)
    await asyncio.to_thread(kubernetes_world.client.patch, path, stopping_takes(None))
    await changing

    async def are_its_last_words_there() -> bool:
        present = await pods(kubernetes_world)
        shown = await lines_of(platform, deployment_id, "--replica", first)
        return first not in present and shown[-1:] == [(first, "goodbye")]

    await eventually(are_its_last_words_there, every_s=0.2)
    assert len(await lines_of(platform, deployment_id)) == 4

    # One whose node does not answer is named, and hides nothing.
    (second,) = await pods(kubernetes_world)
    kubelets.write(second, "unheard")
    kubelets.fall_silent(second)
    node = (await kubernetes_world.pod(second))["spec"]["nodeName"]
    ended = await platform.cli("logs", deployment_id)
    assert len(ended.stdout.splitlines()) == 4
    assert node in ended.stderr
    page = await platform.get(f"/deployments/{deployment_id}/logs", limit=2)
    assert [item["message"] for item in page["items"]] == ["goodbye", "third process"]
    assert [notice["instanceId"] for notice in page["notices"]] == [second]

    await platform.delete(deployment_id)
    assert (await platform.cli("logs", deployment_id)).returncode != 0

    async def is_deleted() -> bool:
        return await kept(platform) == 0

    await eventually(is_deleted, every_s=0.1)
