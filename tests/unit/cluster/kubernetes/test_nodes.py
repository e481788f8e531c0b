"""What a node says of itself: whether replicas have to leave it, and whether it is silent."""

import pytest

from libs.common.cluster.kubernetes.nodes import MARKS, parse


def node(*taints, unschedulable=False, ready="True"):
    return {
        "metadata": {"name": "node-1", "resourceVersion": "7"},
        "spec": {
            "taints": [{"key": key, "effect": effect} for key, effect in taints],
            **({"unschedulable": True} if unschedulable else {}),
        },
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("raw", "mark"),
    [
        pytest.param(node(), None, id="none"),
        pytest.param(node(("nvidia.com/gpu", "NoSchedule")), None, id="a taint of another meaning"),
        pytest.param(node(unschedulable=True), "node_cordoned", id="cordoned"),
        pytest.param(node(("node.kubernetes.io/unschedulable", "NoSchedule")), "node_cordoned", id="tainted"),
        pytest.param(
            node(("ToBeDeletedByClusterAutoscaler", "NoSchedule"), unschedulable=True), "node_ends", id="ends"
        ),
        pytest.param(node(("karpenter.sh/disrupted", "NoSchedule")), "node_ends", id="karpenter"),
        pytest.param(
            node(("aws-node-termination-handler/spot-itn", "NoExecute")), "node_ends", id="a spot notice"
        ),
        pytest.param(
            node(("ToBeDeletedByClusterAutoscaler", "PreferNoSchedule")), None, id="only a preference"
        ),
    ],
)
def test_its_mark(raw, mark):
    assert parse(raw).mark == mark


def test_every_mark_in_the_list_counts():
    assert {key: parse(node((key, "NoSchedule"))).mark for key in MARKS} == MARKS


@pytest.mark.parametrize(("ready", "is_silent"), [("True", False), ("False", False), ("Unknown", True)])
def test_it_is_silent_when_kubernetes_does_not_know(ready, is_silent):
    assert parse(node(ready=ready)).is_silent is is_silent


def test_a_new_one_that_has_said_nothing_is_not():
    raw = {"metadata": {"name": "node-1", "resourceVersion": "7"}}
    assert not parse(raw).is_silent
    assert parse(raw).mark is None


def test_a_heartbeat_is_no_news():
    later = node()
    later["metadata"]["resourceVersion"] = "8"
    later["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T00:00:00Z"
    assert parse(later) == parse(node())


def test_it_may_have_a_zone():
    raw = node()
    assert not parse(raw).has_zone
    raw["metadata"]["labels"] = {"topology.kubernetes.io/zone": "a"}
    assert parse(raw).has_zone
