"""What infra/kubernetes/replicas puts on a cluster is enough for us and no more, by a real API server."""

import asyncio
from pathlib import Path

import pytest
import yaml

from libs.common.cluster.kubernetes import informer, names, sweeper
from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.manifests import make_budget
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from tests.integration.kubernetes.test_faults import proxied
from tests.support.clusters import all_run, replicas, run_of, workload
from tests.support.fault_proxy import answer
from tests.support.kubernetes_world import GROUP
from tests.support.polling import eventually

__all__ = ["proxied"]

FOLDER = Path(__file__).parents[3] / "infra/kubernetes/replicas"
TIMING = Timing(grace_s=5, drain_s=30)
BUDGETS = "/apis/policy/v1/namespaces/{}/poddisruptionbudgets"

PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "PriorityClass": GROUP,
    "Namespace": "/api/v1/namespaces",
}


def documents(*names):
    return [one for name in names for one in yaml.safe_load_all((FOLDER / name).read_text())]


def placed(document, namespace):
    """What belongs to the whole cluster belongs to this test alone."""
    for subject in document.get("subjects", ()):
        subject["namespace"] = namespace
    if document["kind"] == "ClusterRoleBinding":
        document["metadata"]["name"] += f"-{namespace}"
    return document


def make(world, document, **params):
    path = PATHS[document["kind"]].format(namespace=world.namespace)
    answer = world.client.ask("POST", path, document, **params)
    assert answer.status_code in (201, 409), answer.text


async def until_it_may(world, account, *resources, may=True):
    """List each of these resources, or not. The server's own view of the rights follows its objects."""
    for resource in resources:
        attributes = {"verb": "list", "resource": resource}
        if resource != "nodes":
            attributes["namespace"] = world.namespace
        user = f"system:serviceaccount:{world.namespace}:{account}"
        review = {"spec": {"user": user, "resourceAttributes": attributes}}

        async def is_so(review=review):
            path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
            return (await asyncio.to_thread(world.client.create, path, review))["status"]["allowed"] == may

        await eventually(is_so, because=lambda review=review: f"not {may}: {review}")


@pytest.fixture
async def kubeconfig_of(kubernetes_world, tmp_path):
    """Makes one for an account."""
    for document in documents("service-accounts.yaml", "roles.yaml"):
        await asyncio.to_thread(make, kubernetes_world, placed(document, kubernetes_world.namespace))
    for account in ("specstream-writer", "specstream-reader"):
        await until_it_may(kubernetes_world, account, "pods", "nodes")

    def written(account):
        path = PATHS["ServiceAccount"].format(namespace=kubernetes_world.namespace)
        token = kubernetes_world.client.create(f"{path}/{account}/token", {"spec": {}})["status"]["token"]
        config = yaml.safe_load(kubernetes_world.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": token}
        for cluster in config["clusters"]:
            if authority := cluster["cluster"].get("certificate-authority"):
                cluster["cluster"]["certificate-authority"] = str(
                    kubernetes_world.kubeconfig.parent / authority
                )
        kubeconfig = tmp_path / account
        kubeconfig.write_text(yaml.safe_dump(config))
        return kubeconfig

    return written


@pytest.fixture
async def as_account(kubernetes_world, kubeconfig_of):
    """Opens the cluster as one of the accounts."""

    def opened(account):
        return KubernetesCluster.opened(
            kubeconfig_of(account),
            namespace=kubernetes_world.namespace,
            machine_types=bundled(),
            timing=TIMING,
        )

    return opened


async def test_the_writer_may_do_what_the_reconciler_does(kubernetes_world, as_account):
    async with as_account("specstream-writer") as cluster:
        await cluster.apply(workload(run_of(2)), fence=1)
        first = await kubernetes_world.until(all_run(2))
        leaving = [first[0].replica_id]
        await cluster.apply(workload(run_of(1), retiring=leaving, stopping=leaving), fence=2)
        await kubernetes_world.until(all_run(1))
        await cluster.remove("d" * 32, fence=3)
        await kubernetes_world.until_gone()


async def test_the_reader_may_look_and_change_nothing(kubernetes_world, as_account):
    await kubernetes_world.cluster.apply(workload(run_of(1)), fence=1)
    first = await kubernetes_world.until(all_run(1))
    async with as_account("specstream-reader") as cluster:
        assert await replicas(cluster) == first
        with pytest.raises(ClusterUnavailable, match=r"does not allow us to update configmaps: .*forbidden"):
            await cluster.apply(workload(run_of(2)), fence=2)
        with pytest.raises(ClusterUnavailable, match="does not allow us to create configmaps"):
            await cluster.apply(workload(run_of(1), deployment_id="e" * 32), fence=2)
    assert await kubernetes_world.until(all_run(1)) == first


async def evict(world, replica_id):
    """The status that the server answers with."""
    metadata = {"name": names.pod_name(replica_id), "namespace": world.namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"{world.pod_path(replica_id)}/eviction"
    return (await asyncio.to_thread(world.client.ask, "POST", path, eviction)).status_code


async def is_counted(world):
    """Whether the budget knows of a pod."""
    (budget,) = (await asyncio.to_thread(world.client.get, BUDGETS.format(world.namespace)))["items"]
    return budget.get("status", {}).get("expectedPods", 0) > 0


async def has_budget(world):
    path = f"{BUDGETS.format(world.namespace)}/{names.BUDGET}"
    answer = await asyncio.to_thread(world.client.ask, "GET", path)
    return answer.status_code == 200 and answer.json()["spec"] == make_budget(namespace="")["spec"]


async def is_told(cluster, words):
    await cluster.observe()
    return any(words in notice for notice in cluster.notices)


async def shows(cluster, condition):
    shown = await replicas(cluster)
    return shown if condition(shown) else None


@pytest.fixture
def hasty(monkeypatch):
    """What is looked at now and then is looked at all the time."""
    monkeypatch.setattr(sweeper, "_ALL_EVERY_S", 0.2)
    monkeypatch.setattr(informer, "FORBIDDEN_FOR_S", 0.2)


@pytest.mark.usefixtures("hasty")
async def test_the_budget_is_applied_and_put_back(kubernetes_world, as_account):
    world = kubernetes_world
    path = f"{BUDGETS.format(world.namespace)}/{names.BUDGET}"
    await asyncio.to_thread(world.client.delete, path)
    async with as_account("specstream-writer") as cluster:
        assert await cluster.observe() == {}
        await eventually(lambda: has_budget(world))
        made = await asyncio.to_thread(world.client.get, path)
        assert {one["manager"] for one in made["metadata"]["managedFields"]} >= {names.MANAGER}
        spoilt = {"spec": {"minAvailable": 1, "unhealthyPodEvictionPolicy": None}}
        await asyncio.to_thread(world.client.patch, path, spoilt)
        await eventually(lambda: has_budget(world))
        assert cluster.notices == ()


@pytest.mark.usefixtures("hasty")
async def test_a_conflict_over_the_budget_is_tried_again(kubernetes_world, proxied):
    world, (cluster, proxy) = kubernetes_world, proxied
    proxy.on("PATCH", "*", answer(409, "Operation cannot be fulfilled"), times=2)
    await asyncio.to_thread(world.client.delete, f"{BUDGETS.format(world.namespace)}/{names.BUDGET}")
    assert await cluster.observe() == {}
    await eventually(lambda: has_budget(world))
    assert proxy.writes == ["PATCH other"] * 3
    assert await cluster.observe() == {}


@pytest.mark.usefixtures("hasty")
async def test_without_the_right_to_read_nodes_there_is_no_budget_and_it_is_said(
    kubernetes_world, as_account
):
    world = kubernetes_world
    binding = PATHS["ClusterRoleBinding"], f"specstream-nodes-{world.namespace}"
    async with as_account("specstream-writer") as cluster:
        await asyncio.to_thread(world.client.delete, "/".join(binding))
        # What is watched by then stays allowed for as long as the watch goes on.
        await until_it_may(world, "specstream-writer", "nodes", may=False)
        await eventually(lambda: is_told(cluster, "does not allow us to list nodes"))
        (notice,) = cluster.notices
        assert notice.startswith("replicas are not moved before their node is emptied")

        async def is_gone():
            return not await has_budget(world)

        await eventually(is_gone)
        # Replicas live all the same, and nothing keeps whoever empties their node.
        await cluster.apply(workload(run_of(1)), fence=1)
        (first,) = await eventually(lambda: shows(cluster, all_run(1)))
        assert await evict(world, first.replica_id) in (200, 201)
        for document in documents("roles.yaml"):
            await asyncio.to_thread(make, world, placed(document, world.namespace))
        await eventually(lambda: has_budget(world))
        # That nodes can be read is known by their list; that they can be watched, a moment later.
        await eventually(lambda: cluster.notices == (), because=lambda: cluster.notices)


@pytest.mark.usefixtures("hasty")
async def test_without_the_right_to_read_events_it_is_said(kubernetes_world, as_account):
    world = kubernetes_world
    path = f"{PATHS['Role'].format(namespace=world.namespace)}/specstream-writer"
    rules = (await asyncio.to_thread(world.client.get, path))["rules"]
    without = [rule for rule in rules if "events" not in rule["resources"]]
    await asyncio.to_thread(world.client.patch, path, {"rules": without})
    await until_it_may(world, "specstream-writer", "events", may=False)
    async with as_account("specstream-writer") as cluster:
        await eventually(lambda: is_told(cluster, "why a replica waits or is not ready is told in part only"))
        await cluster.apply(workload(run_of(1)), fence=1)
        await eventually(lambda: shows(cluster, all_run(1)))


async def test_an_account_without_rights_is_told_what_it_lacks(as_account):
    async with as_account("specstream-replica") as cluster:
        with pytest.raises(ClusterUnavailable, match=r"not allow us to get namespaces: .*infra/kubernetes"):
            await cluster.observe()
