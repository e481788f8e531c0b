"""Pods as processes: a real kubelet and a real runtime, with their own words for what goes wrong."""

import socket
from typing import Any

import pytest

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.containers import parse_container
from tests.support.kubelab.client import Json
from tests.support.kubelab.control_plane import is_ready
from tests.support.kubelab.fixtures import KubernetesCluster
from tests.support.kubelab.real_node import BUSYBOX, NODES
from tests.support.polling import PATIENCE_S, waited_for


class RealPod:
    def __init__(self, cluster: KubernetesCluster, namespace: str, script: str, **container: Any) -> None:
        self._client = cluster.client
        self._path = f"/api/v1/namespaces/{namespace}/pods/one"
        main = {
            "name": "main",
            "image": BUSYBOX,
            "imagePullPolicy": "Never",
            "command": ["/bin/sh", "-c", script],
            **container,
        }
        spec = {
            "containers": [main],
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
        }
        cluster.client.create(
            f"/api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "one"}, "spec": spec}
        )

    @property
    def body(self) -> Json:
        return self._client.get(self._path)

    @property
    def container(self) -> Json:
        return (self.body["status"].get("containerStatuses") or [{}])[0]

    @property
    def waiting(self) -> str | None:
        return self.container.get("state", {}).get("waiting", {}).get("reason")

    @property
    def ended(self) -> Json:
        """Its newest end, if there was one."""
        now = self.container.get("state", {}).get("terminated")
        return now or self.container.get("lastState", {}).get("terminated") or {}

    @property
    def log(self) -> str:
        return self._client.text(f"{self._path}/log")

    def until(self, condition: Any, what: str) -> None:
        waited_for(condition, because=lambda: f"not {what}: {self.body['status']}")


@pytest.fixture
def run(real_node: KubernetesCluster, real_namespace: str):
    def run_one(script: str, **container: Any) -> RealPod:
        return RealPod(real_node, real_namespace, script, **container)

    return run_one


def test_it_serves_at_its_own_address_and_is_ready(run):
    """Once its probe says so; what it writes is its log."""
    one = run(
        "echo begins; cd /tmp; echo fine > index.html; exec busybox httpd -f -p 8000",
        readinessProbe={"httpGet": {"path": "/index.html", "port": 8000}, "periodSeconds": 1},
    )
    one.until(lambda: is_ready(one.body), "Ready")
    assert one.body["spec"]["nodeName"] in NODES
    with socket.create_connection((one.body["status"]["podIP"], 8000), timeout=PATIENCE_S) as connection:
        connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        assert connection.makefile().read().endswith("fine\n")
    assert one.log == "begins\n"


def test_a_probe_that_fails_keeps_it_unready(run):
    one = run(
        "exec busybox httpd -f -p 8000",
        readinessProbe={"httpGet": {"path": "/none", "port": 8000}, "periodSeconds": 1},
    )
    one.until(lambda: "running" in one.container.get("state", {}), "running")
    assert not is_ready(one.body)


def test_a_crash_loop(run):
    one = run("exit 3")
    one.until(lambda: one.waiting == "CrashLoopBackOff", "in a crash loop")
    assert one.container["restartCount"] >= 1
    assert (one.ended["reason"], one.ended["exitCode"]) == ("Error", 3)


def test_a_program_that_is_not_in_its_image(run):
    one = run("", name=names.CONTAINER, command=["/no/such/program"])
    one.until(lambda: one.waiting == "CrashLoopBackOff", "in a crash loop")
    container = parse_container(one.body["status"])
    assert (container.never_started, container.started_at) == (True, None)
    assert 'exec: "/no/such/program": ' in container.ended_message


def test_memory_that_runs_out(run):
    one = run("exec busybox tail /dev/zero", resources={"limits": {"memory": "24Mi"}})
    one.until(lambda: one.ended, "ended")
    assert (one.ended["reason"], one.ended["exitCode"]) == ("OOMKilled", 137)


def test_an_image_that_cannot_be_pulled(run):
    one = run("true", image="127.0.0.1:1/nowhere/nothing:1", imagePullPolicy="Always")
    one.until(lambda: one.waiting in {"ErrImagePull", "ImagePullBackOff"}, "failing to pull")
    assert one.body["status"]["phase"] == "Pending"
