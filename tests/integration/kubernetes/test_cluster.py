"""The Kubernetes of the tests is a real one: it schedules, counts, refuses and forgets as one does."""

from tests.support.kubelab.client import Client, Json
from tests.support.kubelab.control_plane import is_ready
from tests.support.kubelab.fixtures import KubernetesCluster
from tests.support.kubelab.nodes import MANAGED, SIMULATED, simulated_nodes
from tests.support.kubelab.simulated import own_node, pod, silence, unsilence
from tests.support.polling import waited_for


def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def wait_for_ready(client: Client, path: str) -> None:
    waited_for(lambda: is_ready(client.get(path)), because=lambda: f"not Ready: {client.get(path)['status']}")


def test_every_node_is_ready_and_has_gpus(simulated_cluster: KubernetesCluster):
    expected = {node["metadata"]["name"] for node in simulated_nodes()}

    def nodes() -> list[Json]:
        """Without those that other tests have made for themselves."""
        there = simulated_cluster.client.get("/api/v1/nodes", labelSelector=f"{MANAGED}={SIMULATED}")["items"]
        return [node for node in there if node["metadata"]["name"] in expected]

    assert len(nodes()) == 20
    # After a pause of the whole machine they count as silent for a moment.
    waited_for(lambda: all(is_ready(node) for node in nodes()), because="not every node is Ready")
    assert sum(int(node["status"]["allocatable"]["nvidia.com/gpu"]) for node in nodes()) == 94


def test_a_pod_becomes_ready(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    client = simulated_cluster.client
    client.create(pods(simulated_namespace), pod("one"))
    wait_for_ready(client, f"{pods(simulated_namespace)}/one")
    made = client.get(f"{pods(simulated_namespace)}/one")
    assert made["status"]["podIP"]
    scheduled = [one for one in made["status"]["conditions"] if one["type"] == "PodScheduled"]
    assert [one["status"] for one in scheduled] == ["True"]


def test_a_deleted_pod_is_gone(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    client = simulated_cluster.client
    client.create(pods(simulated_namespace), pod("one"))
    wait_for_ready(client, f"{pods(simulated_namespace)}/one")
    client.delete(f"{pods(simulated_namespace)}/one")
    waited_for(
        lambda: client.ask("GET", f"{pods(simulated_namespace)}/one").status_code == 404,
        because="the pod is still there",
    )


def test_rights_are_checked(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    """A ServiceAccount may do what its Role says, and is told what it may not."""
    admin = simulated_cluster.client
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{simulated_namespace}"
    admin.create(
        f"/api/v1/namespaces/{simulated_namespace}/serviceaccounts", {"metadata": {"name": "reader"}}
    )
    admin.create(
        f"{rbac}/roles",
        {
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
        },
    )
    admin.create(
        f"{rbac}/rolebindings",
        {
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": simulated_namespace}],
        },
    )
    account = f"/api/v1/namespaces/{simulated_namespace}/serviceaccounts/reader"
    token = admin.create(f"{account}/token", {"spec": {"expirationSeconds": 600}})["status"]["token"]
    reader = admin.as_one_with(token)
    # The server's own view of the rights follows its objects by a moment.
    waited_for(
        lambda: reader.ask("GET", pods(simulated_namespace)).status_code == 200,
        because="the Role has no effect",
    )
    refused = reader.ask("POST", pods(simulated_namespace), pod("one"))
    assert refused.status_code == 403
    assert f"system:serviceaccount:{simulated_namespace}:reader" in refused.json()["message"]
    assert reader.ask("GET", "/api/v1/nodes").status_code == 403
    reader.close()


def test_gpus_are_counted(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    client = simulated_cluster.client
    with own_node(client, gpus=2) as node:
        for name in ("one", "two"):
            client.create(pods(simulated_namespace), pod(name, gpus=1, node=node))
            wait_for_ready(client, f"{pods(simulated_namespace)}/{name}")
        client.create(pods(simulated_namespace), pod("three", gpus=1, node=node))
        assert "Insufficient nvidia.com/gpu" in why_unscheduled(client, f"{pods(simulated_namespace)}/three")
        client.delete(f"{pods(simulated_namespace)}/one")
        wait_for_ready(client, f"{pods(simulated_namespace)}/three")


def why_unscheduled(client: Client, path: str) -> str:
    def reason() -> str | None:
        for one in client.get(path)["status"].get("conditions", []):
            if one["type"] == "PodScheduled" and one["status"] == "False":
                return one["message"]
        return None

    return waited_for(reason, because="the scheduler said nothing") or ""


def test_a_silent_node_is_found_out(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    """And its pods are not Ready meanwhile; both are again when it is back."""
    client = simulated_cluster.client
    with own_node(client) as node:
        path = f"{pods(simulated_namespace)}/one"
        client.create(pods(simulated_namespace), pod("one", node=node))
        wait_for_ready(client, path)
        silence(client, node)
        waited_for(
            lambda: not is_ready(client.get(f"/api/v1/nodes/{node}")), because="the node counts as Ready"
        )
        waited_for(lambda: not is_ready(client.get(path)), because="the pod counts as Ready")
        unsilence(client, node)
        wait_for_ready(client, f"/api/v1/nodes/{node}")
        wait_for_ready(client, path)


def test_pod_security_refuses(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    client = simulated_cluster.client
    client.patch(
        f"/api/v1/namespaces/{simulated_namespace}",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    )

    def refusal() -> str | None:
        # The server's own view of the namespace follows it by a moment.
        answer = client.ask("POST", pods(simulated_namespace), pod("one"), dryRun="All")
        return answer.json()["message"] if answer.status_code == 403 else None

    assert "violates PodSecurity" in waited_for(refusal, because="the pod is not refused")
