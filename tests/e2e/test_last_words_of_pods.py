"""What pods wrote that crashed, left or were deleted, by real kubelets: the fixture `real_node`."""

import asyncio
import os
import signal
import subprocess

import pytest

from libs.common.cluster.kubernetes import names
from libs.common.log.jetstream.tails import JetStreamTails
from libs.common.tails.tail import BYTES_OF_A_TIME, MOST_BYTES
from tests.e2e.test_last_words import lines_of
from tests.support.kubelab.fixtures import KubernetesCluster
from tests.support.kubelab.real_node import kubelet_of
from tests.support.nats_users import connected_as
from tests.support.on_kubernetes import pods
from tests.support.pod_platform import PodPlatform
from tests.support.polling import PATIENCE_S, eventually
from tests.support.speaker import SIZE, crash, said, say, speaker

LEAVES_WITH = 3_000
"""Lines that a replica writes after SIGTERM: several times what is kept of it."""
KEPT = MOST_BYTES // (BYTES_OF_A_TIME + SIZE)
"""Lines of that size that have room."""


@pytest.fixture
def platform(pods_platform: PodPlatform) -> PodPlatform:
    return pods_platform


def path_of(platform: PodPlatform, replica_id: str) -> str:
    return f"/api/v1/namespaces/{platform.namespace}/pods/{names.pod_name(replica_id)}"


async def kept(platform: PodPlatform, deployment_id: str) -> dict[str, list[tuple[str, str]]]:
    """(id, message) of each line, by replica, that does not depend on any kubelet."""
    async with connected_as(platform, "health") as client:
        tails = await JetStreamTails(client, deadline_s=PATIENCE_S).read(deployment_id)
    return {tail.replica_id: [(line.id, line.message) for line in tail.lines] for tail in tails}


async def messages_kept(platform: PodPlatform, deployment_id: str, replica_id: str) -> list[str]:
    return [message for _, message in (await kept(platform, deployment_id)).get(replica_id, [])]


async def until_last(platform: PodPlatform, deployment_id: str, replica_id: str, last: str) -> list[str]:
    """What is kept of a replica, when this is its last line."""
    seen: list[list[str]] = [[]]

    async def is_last() -> bool:
        seen[0] = await messages_kept(platform, deployment_id, replica_id)
        return seen[0][-1:] == [last]

    def what() -> str:
        return f"{len(seen[0])} lines are kept, the last of them {seen[0][-1:]}"

    await eventually(is_last, every_s=0.1, because=what)
    return seen[0]


async def until_said(platform: PodPlatform, replica_id: str, what: str, lines: int, size: int = SIZE) -> None:
    """Until its kubelet has what it says. The runtime reads what a container wrote a moment later, and only
    then gives it a time: so what is said after this is later for everybody."""
    await say(await platform.address(replica_id, 0), what, lines, size)
    last = said(what, lines, size)[-1]

    async def is_heard() -> bool:
        return last in {message for _, _, message in await timed(platform, replica_id)}

    await eventually(is_heard, every_s=0.05, because=f"its kubelet has not heard {last}")


async def test_what_each_process_wrote_stays_however_often_it_crashes(platform: PodPlatform):
    """A kubelet has the logs of two processes."""
    deployment_id = await platform.deploy(speaker("crashing"))
    (replica_id,) = await pods(platform)
    address = await platform.address(replica_id, 0)
    wrote: list[str] = []
    for number in range(4):
        of_this = said(f"process-{number}", 3)
        await crash(address, f"process-{number}", 3)
        wrote += ["begins", *of_this]
        assert await until_last(platform, deployment_id, replica_id, of_this[-1]) == wrote
    await until_said(platform, replica_id, "now", 2)
    wrote += ["begins", *said("now", 2)]
    # What is kept and what kubelets have are the same lines, so none is there twice.
    assert await lines_of(platform, deployment_id) == [(replica_id, message) for message in wrote]
    assert await lines_of(platform, deployment_id, "-n", "5") == [
        (replica_id, message) for message in wrote[-5:]
    ]

    await crash(address, "much", LEAVES_WITH)
    much = said("much", LEAVES_WITH)
    assert await until_last(platform, deployment_id, replica_id, much[-1]) == much[-KEPT:]


async def test_what_a_retired_pod_wrote_until_its_end_is_kept_and_goes_with_its_deployment(
    platform: PodPlatform,
):
    deployment_id = await platform.deploy(speaker("retired", LEAVES_WITH=str(LEAVES_WITH), VERSION="1"))
    (first,) = await pods(platform)
    await say(await platform.address(first, 0), "before", 5)
    await platform.deploy(speaker("retired", LEAVES_WITH=str(LEAVES_WITH), VERSION="2"))
    goodbye = said("goodbye", LEAVES_WITH)
    last = await until_last(platform, deployment_id, first, goodbye[-1])
    assert last == goodbye[-KEPT:]
    shown = await lines_of(platform, deployment_id, "--replica", first)
    assert [message for _, message in shown][-KEPT:] == last

    await platform.delete(deployment_id)
    assert (await platform.cli("logs", deployment_id)).returncode != 0
    await platform.gone(deployment_id)

    async def is_forgotten() -> bool:
        return not await kept(platform, deployment_id)

    await eventually(is_forgotten, every_s=0.1)


async def test_what_a_pod_wrote_that_somebody_deletes_is_kept(
    platform: PodPlatform, real_node: KubernetesCluster, kubernetes_program
):
    deployment_id = await platform.deploy(speaker("deleted", LEAVES_WITH="7"))
    (first,) = await pods(platform)
    await say(await platform.address(first, 0), "before", 5)
    argv = [kubernetes_program, "kubectl", f"--kubeconfig={real_node.kubeconfig}", "delete", "pod"]
    argv += [names.pod_name(first), f"--namespace={platform.namespace}"]
    await asyncio.to_thread(subprocess.run, argv, check=True, capture_output=True, timeout=PATIENCE_S)
    wrote = ["begins", *said("before", 5), *said("goodbye", 7)]
    assert await until_last(platform, deployment_id, first, wrote[-1]) == wrote

    async def is_replaced() -> bool:
        return len(await pods(platform)) == 1  # the one that ends does not count

    await eventually(is_replaced, every_s=0.1)
    (second,) = await pods(platform)
    await platform.settled(deployment_id)
    shown = await lines_of(platform, deployment_id)
    assert [message for replica_id, message in shown if replica_id == first] == wrote
    assert [message for replica_id, message in shown if replica_id == second] == ["begins"]
    assert len(shown) == len(wrote) + 1


async def test_lines_are_merged_by_the_times_of_their_containers_and_keep_their_ids(platform: PodPlatform):
    """Also when the containers are gone."""
    deployment_id = await platform.deploy(speaker("merged", replicas=3, VERSION="1"))
    first = sorted(await pods(platform))
    for number in range(9):
        await until_said(platform, first[number % 3], f"said-{number}", 2, 40)
    by_kubelets = sorted(
        [line for replica_id in first for line in await timed(platform, replica_id)],
    )
    shown = await page_by_page(platform, deployment_id, limit=100)
    assert [(one["instanceId"], one["message"]) for one in shown] == [
        (replica_id, message) for _, replica_id, message in by_kubelets
    ]
    assert [one["id"][: len("2026-01-01T00:00:00.000000000Z")] for one in shown] == [
        moment for moment, _, _ in by_kubelets
    ]
    said_in_order = [message for number in range(9) for message in said(f"said-{number}", 2, 40)]
    assert [one["message"] for one in shown if one["message"] != "begins"] == said_in_order

    for limit in (1, 4):
        assert await page_by_page(platform, deployment_id, limit=limit) == shown
        backwards = await page_by_page(platform, deployment_id, limit=limit, order="desc")
        assert backwards == shown[::-1]
    for position in (0, 7, len(shown) - 1):
        after = shown[position]["id"]
        assert await page_by_page(platform, deployment_id, limit=5, after=after) == shown[position + 1 :]
        before = await page_by_page(platform, deployment_id, limit=5, after=after, order="desc")
        assert before == shown[:position][::-1]
    one = await page_by_page(platform, deployment_id, limit=3, instanceId=first[1])
    assert one == [line for line in shown if line["instanceId"] == first[1]]

    await platform.deploy(speaker("merged", replicas=3, VERSION="2"))
    for replica_id in first:
        await until_last(platform, deployment_id, replica_id, said("goodbye", 1)[0])
    later = await page_by_page(platform, deployment_id, limit=7)
    assert [line for line in later if line["message"] != said("goodbye", 1)[0]][: len(shown)] == shown


async def timed(platform: PodPlatform, replica_id: str) -> list[tuple[str, str, str]]:
    """(time in UTC to the nanosecond, replica, message) of what the kubelet has of it."""
    path = f"{path_of(platform, replica_id)}/log"
    wrote = await asyncio.to_thread(platform.client.text, path, timestamps="true")
    found = []
    for line in wrote.splitlines():
        stamp, _, message = line.partition(" ")
        second, _, part = stamp.removesuffix("Z").partition(".")
        assert stamp.endswith("Z")
        found.append((f"{second}.{part.ljust(9, '0')}Z", replica_id, message))
    return found


async def page_by_page(platform: PodPlatform, deployment_id: str, *, limit: int, order="asc", **how):
    """Every line there is, in the order."""
    found: list[dict] = []
    while True:
        page = await platform.get(f"/deployments/{deployment_id}/logs", limit=limit, order=order, **how)
        assert not page.get("notices"), page
        found += page["items"]
        if not page["hasMore"]:
            return found
        how["after"] = page["nextPage"]


async def test_of_a_replica_whose_kubelet_stands_still_it_is_said_and_it_is_heard_again(
    platform: PodPlatform,
):
    deployment_id = await platform.deploy(speaker("unheard"))
    (replica_id,) = await pods(platform)
    await until_said(platform, replica_id, "before", 2)
    wrote = [(replica_id, message) for message in ("begins", *said("before", 2))]
    assert await lines_of(platform, deployment_id) == wrote
    pod = await asyncio.to_thread(platform.client.get, path_of(platform, replica_id))
    node = pod["spec"]["nodeName"]
    kubelet = kubelet_of(node)
    os.kill(kubelet, signal.SIGSTOP)
    try:

        async def is_said() -> bool:
            page = await platform.get(f"/deployments/{deployment_id}/logs")
            (notice,) = page.get("notices") or [{"instanceId": None, "message": ""}]
            return (notice["instanceId"], node in notice["message"]) == (replica_id, True)

        await eventually(is_said, every_s=0.5)

        async def is_kept() -> bool:
            async with connected_as(platform, "health") as client:
                tails = await JetStreamTails(client, deadline_s=PATIENCE_S).read(deployment_id)
            return [(tail.replica_id, node in tail.problem) for tail in tails] == [(replica_id, True)]

        # When its node counts as lost for Kubernetes, and for the platform some seconds after that.
        await eventually(is_kept, every_s=0.5)
    finally:
        os.kill(kubelet, signal.SIGCONT)

    async def is_heard() -> bool:
        page = await platform.get(f"/deployments/{deployment_id}/logs", order="asc")
        found = [(one["instanceId"], one["message"]) for one in page["items"]]
        return not page.get("notices") and found == wrote

    await eventually(is_heard, every_s=0.5)
    await platform.settled(deployment_id)
    assert set(await pods(platform)) == {replica_id}
