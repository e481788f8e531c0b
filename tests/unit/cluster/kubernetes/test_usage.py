"""What metrics.k8s.io says of pods."""

import math

import pytest

from libs.common.cluster.kubernetes import names, pods
from libs.common.cluster.kubernetes.quantities import quantity, seconds
from libs.common.cluster.kubernetes.usage import used

STARTED = "2026-03-01T12:00:00Z"


def pod(restarts: int = 0, limits: dict[str, str] | None = None, started: str | None = STARTED) -> pods.Pod:
    state = {"running": {"startedAt": started}} if started else {"waiting": {"reason": "x"}}
    status = {"name": names.CONTAINER, "restartCount": restarts, "ready": True, "state": state}
    return pods.parse(
        {
            "metadata": {
                "name": "r-1",
                "uid": "u",
                "resourceVersion": "1",
                "creationTimestamp": STARTED,
                "labels": {names.DEPLOYMENT: "d", names.REPLICA: "1"},
            },
            "spec": {
                "containers": [
                    {
                        "name": names.CONTAINER,
                        "resources": {"limits": limits or {"cpu": "250m", "memory": "1Gi"}},
                    }
                ]
            },
            "status": {"phase": "Running", "containerStatuses": [status]},
        }
    )


def metrics(timestamp: str = "2026-03-01T12:01:00Z", window: str = "15.5s", **usage: str):
    given = {"cpu": "125m", "memory": "64Mi", **usage}
    return {
        "metadata": {"name": "r-1"},
        "timestamp": timestamp,
        "window": window,
        "containers": [{"name": names.CONTAINER, "usage": given}],
    }


def test_a_rate_is_taken_as_the_source_has_measured_it():
    (found,) = used([metrics()], {"r-1": pod(restarts=2)})
    assert (found.deployment_id, found.replica_id, found.attempt) == ("d", "1", 2)
    assert (found.cpu_cores, found.memory_bytes, found.window_s) == (0.125, 64 * 2**20, 15.5)
    assert found.ended_at == 1772366460.0
    assert (found.cpus, found.memory_gib) == (0.25, 1.0)
    assert (found.most_cpus, found.most_memory_bytes) == (0.5, 2 * 2**30)


@pytest.mark.parametrize(
    "of",
    [
        pytest.param({"timestamp": "2026-03-01T12:00:05Z"}, id="mostly of the container before"),
        pytest.param({"window": "300s"}, id="a window that began before"),
    ],
)
def test_what_was_measured_of_an_earlier_container_is_left_out(of):
    assert list(used([metrics(**of)], {"r-1": pod()})) == []


def test_pods_that_are_none_of_ours_and_containers_that_have_not_started_are_left_out():
    assert list(used([metrics()], {})) == []
    assert list(used([metrics()], {"r-1": pod(started=None)})) == []
    assert list(used([{**metrics(), "containers": []}], {"r-1": pod()})) == []


def test_what_is_no_quantity_is_unknown():
    (found,) = used([metrics(cpu="lots", memory="")], {"r-1": pod()})
    assert (found.cpu_cores, found.memory_bytes) == (None, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("250m", 0.25),
        ("123456789n", 0.123456789),
        ("12u", 12e-6),
        ("1.5Gi", 1.5 * 2**30),
        ("2e3", 2000.0),
        ("-1", -1.0),
        ("1Ei", 2.0**60),
        ("0", 0.0),
    ],
)
def test_quantities(text, value):
    assert math.isclose(quantity(text), value)


@pytest.mark.parametrize("text", ["", "m", "1x", "NaN", "1 m", "0x10"])
def test_no_quantities(text):
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("15s", 15.0), ("1m2.5s", 62.5), ("500ms", 0.5), ("1h", 3600.0), ("", 0.0), ("x", 0.0)],
)
def test_durations(text, value):
    assert math.isclose(seconds(text), value)
