"""Logs of pods: anchors and pods on a real API server, and kubelets that are played."""

import asyncio

import pytest

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.clusters import DEPLOYMENT, all_run, run_of, workload
from tests.support.fault_proxy import answer, before
from tests.support.log_lines import read_lines
from tests.support.played_kubelets import PlayedKubelets
from tests.support.polling import eventually

TIMING = Timing(grace_s=5, drain_s=30)


@pytest.fixture
async def played(kubernetes_world, tmp_path):
    """(a cluster that is reached through a proxy, the kubelets that the proxy plays, the proxy)."""
    async with (
        before(kubernetes_world.kubeconfig, tmp_path) as proxy,
        KubernetesCluster.opened(
            proxy.kubeconfig, namespace=kubernetes_world.namespace, machine_types=bundled(), timing=TIMING
        ) as cluster,
    ):
        yield cluster, PlayedKubelets(proxy), proxy
        proxy.mend()


async def started(world, number):
    await world.cluster.apply(workload(run_of(number)), fence=1)
    return [replica.replica_id for replica in await world.until(all_run(number))]


async def messages(cluster, **how):
    return [line.message for line in await read_lines(cluster, DEPLOYMENT, **how)]


async def test_lines_are_merged_by_their_times_in_pages(kubernetes_world, played):
    cluster, kubelets, _ = played
    replica_ids = await started(kubernetes_world, 3)
    for number in range(40):
        kubelets.write(replica_ids[number % 3], f"line {number}")
    wanted = [f"line {number}" for number in range(40)]
    for limit in (1, 7, 100):
        assert await messages(cluster, limit=limit) == wanted
        assert await messages(cluster, limit=limit, newest_first=True) == wanted[::-1]
    assert await messages(cluster, replica_id=replica_ids[1]) == wanted[1::3]
    assert await messages(cluster, replica_id="nobody") == []
    page = await cluster.logs(DEPLOYMENT, limit=5)
    assert page.read == set(replica_ids)


async def test_a_crashed_process_is_read_beside_the_one_after_it(kubernetes_world, played):
    cluster, kubelets, _ = played
    (replica_id,) = await started(kubernetes_world, 1)
    kubelets.write(replica_id, "about to fail")
    kubelets.crash(replica_id)
    await kubernetes_world.exit(replica_id, status=1)
    kubelets.write(replica_id, "again")
    await kubernetes_world.until(lambda shown: shown[0].attempt == 1)
    assert await messages(cluster) == ["about to fail", "again"]
    assert await messages(cluster, newest_first=True) == ["again", "about to fail"]
    (words,) = [
        each async for each in cluster.last_words(DEPLOYMENT, replica_id, most_bytes=1 << 16, ends_within_s=0)
    ]
    assert [line.message for line in words.lines] == ["about to fail", "again"]


async def test_a_process_that_has_ended_is_heard_though_another_one_has_begun_meanwhile(
    kubernetes_world, played
):
    """A kubelet says a moment later that it has."""
    cluster, kubelets, _ = played
    (replica_id,) = await started(kubernetes_world, 1)
    kubelets.write(replica_id, "about to fail")
    (container,) = (await kubernetes_world.pod(replica_id))["status"]["containerStatuses"]
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}}
    await kubernetes_world.say(
        replica_id, {"containerStatuses": [{**container, "state": ended, "ready": False}]}
    )

    async def heard():
        words = cluster.last_words(DEPLOYMENT, replica_id, most_bytes=1 << 16, ends_within_s=0)
        return [[line.message for line in each.lines] async for each in words]

    assert await heard() == [["about to fail"]]
    kubelets.crash(replica_id)
    assert await heard() == [["about to fail"]]
    kubelets.write(replica_id, "again")
    assert await heard() == [["about to fail", "again"]]
    assert await messages(cluster) == ["about to fail", "again"]


async def test_one_that_cannot_be_read_hides_no_other(kubernetes_world, played):
    cluster, kubelets, _ = played
    one, two = await started(kubernetes_world, 2)
    kubelets.write(one, "heard")
    kubelets.write(two, "not heard")
    kubelets.fall_silent(two)
    node = (await kubernetes_world.pod(two))["spec"]["nodeName"]
    page = await cluster.logs(DEPLOYMENT, limit=9)
    assert [line.message for line in page.lines] == ["heard"]
    (notice,) = page.unreadable
    assert notice.replica_id == two
    assert node in notice.message
    assert page.read == {one}
    (words,) = [each async for each in cluster.last_words(DEPLOYMENT, two, most_bytes=99, ends_within_s=0)]
    assert node in words.problem


async def test_a_pod_on_a_lost_node_is_not_even_asked(kubernetes_world, played):
    cluster, kubelets, _ = played
    (replica_id,) = await started(kubernetes_world, 1)
    pod = await kubernetes_world.pod(replica_id)
    lost = [
        {**one, "status": "False"} if one["type"] == "Ready" else one for one in pod["status"]["conditions"]
    ]
    await kubernetes_world.say(replica_id, {"conditions": lost})
    page = await cluster.logs(DEPLOYMENT, limit=9)
    (notice,) = page.unreadable
    assert notice.message == f"its log cannot be read: its node {pod['spec']['nodeName']} does not answer"
    assert kubelets.asked(replica_id) == 0


async def test_a_replica_that_ends_is_heard_to_its_last_word(kubernetes_world, played):
    cluster, kubelets, _ = played
    (replica_id,) = await started(kubernetes_world, 1)
    kubelets.write(replica_id, *(f"line {number}" for number in range(500)))
    heard = cluster.last_words(DEPLOYMENT, replica_id, most_bytes=2_000, ends_within_s=60)
    first = await anext(heard)
    assert first.lines[-1].message == "line 499"
    assert 40 < len(first.lines) < 60
    rest = asyncio.ensure_future(anext(heard))
    kubelets.write(replica_id, "goodbye")
    kubelets.end(replica_id)
    last = await rest
    assert [line.message for line in last.lines][-2:] == ["line 499", "goodbye"]
    assert [line.id for line in last.lines] == sorted({line.id for line in last.lines})
    assert set(first.lines) & set(last.lines)


async def test_of_what_is_written_without_an_end_no_more_is_held_than_is_kept(kubernetes_world, played):
    cluster, kubelets, _ = played
    (replica_id,) = await started(kubernetes_world, 1)
    kubelets.write(replica_id, "serving")
    heard = cluster.last_words(DEPLOYMENT, replica_id, most_bytes=2_000, ends_within_s=60)
    assert [line.message for line in (await anext(heard)).lines] == ["serving"]
    rest = asyncio.ensure_future(anext(heard))
    await eventually(lambda: kubelets.followed(replica_id))
    kubelets.write(replica_id, "x" * 1_000_000)
    kubelets.end(replica_id)
    (line,) = (await rest).lines
    assert set(line.message) == {"x"}
    assert len(line.message) <= 2 * 2_000


async def test_one_that_does_not_end_in_time_is_heard_so_far(kubernetes_world, played):
    cluster, kubelets, _ = played
    (replica_id,) = await started(kubernetes_world, 1)
    kubelets.write(replica_id, "hanging")
    heard = [
        [line.message for line in words.lines]
        async for words in cluster.last_words(DEPLOYMENT, replica_id, most_bytes=2_000, ends_within_s=0.2)
    ]
    assert heard == [["hanging"], ["hanging"]]
    nothing = cluster.last_words(DEPLOYMENT, "nobody", most_bytes=99, ends_within_s=9)
    assert [each async for each in nothing] == []


async def test_a_right_that_is_missing_is_named(kubernetes_world, played):
    cluster, _, proxy = played
    await started(kubernetes_world, 1)
    proxy.mend()
    forbidden = answer(403, "pods is forbidden: User cannot get resource pods/log")

    async def at_logs(request, forward):
        return await (forbidden(request, forward) if request.path.endswith("/log") else forward())

    proxy.on("GET", "pods", at_logs, times=100)
    with pytest.raises(ClusterUnavailable, match="does not allow us to get pods/log"):
        await cluster.logs(DEPLOYMENT, limit=9)
