"""A cluster of a test's own, whose parts die and come back."""

from tests.support.kubelab.control_plane import ControlPlane, is_ready
from tests.support.kubelab.simulated import pod
from tests.support.polling import waited_for

PODS = "/api/v1/namespaces/default/pods"


def test_what_was_written_is_there_after_the_api_server_and_etcd_died(own_kubernetes: ControlPlane):
    client = own_kubernetes.client
    client.create(PODS, pod("before"))
    waited_for(lambda: is_ready(client.get(f"{PODS}/before")), because="not Ready")
    own_kubernetes.apiserver.kill()
    assert not client.is_ready()
    own_kubernetes.etcd.kill()
    own_kubernetes.start_api()
    # Its node counts as silent for a moment, where all of that took long.
    waited_for(lambda: is_ready(client.get(f"{PODS}/before")), because="not Ready")
    client.create(PODS, pod("after"))
    waited_for(lambda: is_ready(client.get(f"{PODS}/after")), because="not Ready")


def test_it_leaves_no_process_and_no_state(own_kubernetes: ControlPlane):
    own_kubernetes.stop()
    assert [part.name for part in own_kubernetes.parts if part.is_alive] == []
    assert not (own_kubernetes.directory / "etcd").exists()
