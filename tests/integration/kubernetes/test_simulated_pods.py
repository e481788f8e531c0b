"""Simulated pods do what they are told, in the words of a real kubelet, and go back when they are told to."""

import pytest

from tests.support.kubelab.client import Client, Json
from tests.support.kubelab.control_plane import is_ready
from tests.support.kubelab.fixtures import KubernetesCluster
from tests.support.kubelab.simulated import pod, steer
from tests.support.kubelab.states import (
    CANNOT_START,
    PULL_FAILS,
    REJECTED,
    STATE_VARIABLE,
    STILL_CREATING,
    State,
)
from tests.support.polling import waited_for


class Watched:
    """One pod."""

    def __init__(self, client: Client, namespace: str, made: Json) -> None:
        self.client = client
        self.namespace = namespace
        self.name = made["metadata"]["name"]
        client.create(f"/api/v1/namespaces/{namespace}/pods", made)

    @property
    def body(self) -> Json:
        return self.client.get(f"/api/v1/namespaces/{self.namespace}/pods/{self.name}")

    @property
    def container(self) -> Json:
        return (self.body["status"].get("containerStatuses") or [{}])[0]

    @property
    def waiting(self) -> str | None:
        return self.container.get("state", {}).get("waiting", {}).get("reason")

    @property
    def phase(self) -> str:
        return self.body["status"]["phase"]

    def events(self, reason: str) -> list[Json]:
        selector = f"involvedObject.name={self.name},reason={reason}"
        found = self.client.get(f"/api/v1/namespaces/{self.namespace}/events", fieldSelector=selector)
        return found["items"]

    def until(self, condition, what: str) -> None:
        waited_for(condition, because=lambda: f"not {what}: {self.body['status']}")

    def until_ready(self) -> None:
        self.until(lambda: is_ready(self.body), "Ready")

    def told(self, state: State | None = None, **more: object) -> None:
        steer(self.client, self.namespace, self.name, state, **more)


@pytest.fixture
def make(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    def make_one(*how: object, **told: object) -> Watched:
        return Watched(simulated_cluster.client, simulated_namespace, pod("one", *how, **told))

    return make_one


@pytest.mark.parametrize("state", [*PULL_FAILS, *CANNOT_START])
def test_what_cannot_start_says_why_and_recovers(make, state: State):
    one = make(state, message="as the registry said")
    one.until(lambda: one.waiting == state, state)
    assert one.phase == "Pending"
    assert one.container["state"]["waiting"]["message"] == "as the registry said"
    assert not is_ready(one.body)
    one.told()
    one.until_ready()


@pytest.mark.parametrize("state", STILL_CREATING)
def test_what_is_still_being_made_says_so_by_an_event(make, state: State):
    one = make(state)
    one.until(lambda: one.waiting == "ContainerCreating", "being created")
    one.until(lambda: one.events(STILL_CREATING[state][1]), "told by an event")
    one.told()
    one.until_ready()


def test_a_failing_probe(make):
    one = make()
    one.until_ready()
    one.told(State.NOT_READY)
    one.until(lambda: not is_ready(one.body), "unready")
    assert "running" in one.container["state"]
    one.until(lambda: one.events("Unhealthy"), "told by an event")
    one.told()
    one.until_ready()
    assert one.container["restartCount"] == 0


def test_a_crash_loop_counts_and_keeps_its_count(make):
    one = make(State.CRASH_LOOP, exit_code=3)
    one.until(lambda: one.container.get("restartCount", 0) >= 2, "restarted twice")
    assert one.waiting == "CrashLoopBackOff"
    ended = one.container["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("Error", 3)
    one.told()
    one.until_ready()
    assert one.container["restartCount"] >= 2
    assert one.container["lastState"]["terminated"]["exitCode"] == 3


def test_memory_that_ran_out(make):
    one = make()
    one.until_ready()
    one.told(State.OUT_OF_MEMORY)
    one.until(lambda: one.container.get("lastState", {}).get("terminated"), "ended")
    ended = one.container["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_an_end_without_back_off(make):
    one = make(State.ERROR, exit_code=2)
    one.until(lambda: one.container.get("state", {}).get("terminated"), "ended")
    assert one.container["state"]["terminated"]["exitCode"] == 2


@pytest.mark.parametrize("state", REJECTED)
def test_what_the_kubelet_refuses_or_evicts_has_failed_for_ever(make, state: State):
    one = make(state, message="the node was low on resource")
    one.until(lambda: one.phase == "Failed", "Failed")
    assert one.body["status"]["reason"] == state
    assert one.body["status"]["message"] == "the node was low on resource"


def test_a_slow_start_runs_before_it_is_ready(make):
    one = make(ready_delay_s=3600)
    one.until(lambda: "running" in one.container.get("state", {}), "running")
    assert not is_ready(one.body)
    assert one.body["status"]["podIP"]
    one.told()
    one.until_ready()


def test_a_slow_end(make):
    one = make(stop_delay_s=3600)
    one.until_ready()
    one.client.delete(f"/api/v1/namespaces/{one.namespace}/pods/one")
    one.until(lambda: "deletionTimestamp" in one.body["metadata"], "ending")
    assert is_ready(one.body)
    one.told()
    waited_for(
        lambda: one.client.ask("GET", f"/api/v1/namespaces/{one.namespace}/pods/one").status_code == 404,
        because="it did not end",
    )


def test_a_pod_may_bring_its_state_with_it(simulated_cluster: KubernetesCluster, simulated_namespace: str):
    """In its environment, for what cannot annotate what it makes; the annotation has the last word."""
    made = pod("one")
    made["spec"]["containers"][0]["env"] = [{"name": STATE_VARIABLE, "value": State.IMAGE_PULL_BACK_OFF}]
    one = Watched(simulated_cluster.client, simulated_namespace, made)
    one.until(lambda: one.waiting == State.IMAGE_PULL_BACK_OFF, "failing to pull")
    one.told(State.READY)
    one.until_ready()
