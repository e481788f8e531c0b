"""What infra/kubernetes/replicas puts on a cluster is enough for us and no more, by a real API server."""

import asyncio
from pathlib import Path

import pytest
import yaml

from libs.common.cluster.kubernetes.cluster import KubernetesCluster
from libs.common.cluster.kubernetes.writer import Timing
from libs.common.errors import ClusterUnavailable
from libs.common.machine_types.reading import bundled
from tests.support.clusters import all_run, replicas, run_of, workload
from tests.support.kubernetes_world import GROUP

FOLDER = Path(__file__).parents[3] / "infra/kubernetes/replicas"
TIMING = Timing(grace_s=5, drain_s=30)

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


@pytest.fixture
async def as_account(kubernetes_world, tmp_path):
    """Opens the cluster as one of the accounts."""
    for document in documents("service-accounts.yaml", "roles.yaml"):
        await asyncio.to_thread(make, kubernetes_world, placed(document, kubernetes_world.namespace))

    def opened(account):
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
        return KubernetesCluster.opened(
            kubeconfig, namespace=kubernetes_world.namespace, machine_types=bundled(), timing=TIMING
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


async def test_an_account_without_rights_is_told_what_it_lacks(as_account):
    async with as_account("specstream-replica") as cluster:
        with pytest.raises(ClusterUnavailable, match=r"not allow us to get namespaces: .*infra/kubernetes"):
            await cluster.observe()


@pytest.mark.parametrize(
    "name", sorted({path.name for path in FOLDER.iterdir()} - {"kustomization.yaml", "cidrs.yaml"})
)
async def test_a_server_takes_every_object(kubernetes_world, name):
    for document in documents(name):
        placed(document, kubernetes_world.namespace)
        await asyncio.to_thread(make, kubernetes_world, document, dryRun="All", fieldValidation="Strict")


def test_the_policies_say_what_the_kustomization_puts_in():
    (cidrs,) = documents("cidrs.yaml")
    edge, world = documents("network-policies.yaml")
    (allowed,) = edge["spec"]["ingress"]
    assert allowed["from"] == [{"ipBlock": {"cidr": cidrs["data"]["edge"]}}]
    inner = [cidrs["data"][name] for name in ("pods", "services", "nodes")]
    (block,) = world["spec"]["egress"][1]["to"]
    assert block == {"ipBlock": {"cidr": "0.0.0.0/0", "except": [*inner, "169.254.0.0/16"]}}
