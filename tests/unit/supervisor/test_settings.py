from pathlib import Path

import pytest

from libs.supervisor.errors import CannotStart
from libs.supervisor.settings import from_environment


def test_defaults(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    settings = from_environment({})
    assert settings.home == Path("/somewhere/.specstream")
    assert (settings.api_port, settings.edge_port) == (8080, 8081)
    assert (settings.grace_seconds, settings.drain_deadline_seconds) == (10, 30)
    assert (settings.upload_deadline_seconds, settings.envoy_heap_mib) == (600, 2048)
    assert settings.disk_reserve_mib == 64
    assert (settings.usage_seconds, settings.metrics_max_bytes) == (15, 2**30)
    assert settings.request_window_seconds == 300
    assert settings.api_key is None
    assert settings.module("api") == "services.api"


def test_what_is_set_is_taken():
    settings = from_environment(
        {
            "SPECSTREAM_HOME": "/data/../home",
            "SPECSTREAM_API_PORT": "1",
            "SPECSTREAM_EDGE_PORT": "65535",
            "SPECSTREAM_API_KEY": "k-1",
            "SPECSTREAM_GRACE_SECONDS": "0.5",
            "SPECSTREAM_DRAIN_DEADLINE_SECONDS": "3600",
            "SPECSTREAM_UPLOAD_DEADLINE_SECONDS": "60.5",
            "SPECSTREAM_NODE_LOST_SECONDS": "90",
            "SPECSTREAM_MOVE_SECONDS": "120.5",
            "SPECSTREAM_ENVOY_HEAP_MIB": "256",
            "SPECSTREAM_USAGE_SECONDS": "0.5",
            "SPECSTREAM_REQUEST_WINDOW_SECONDS": "10",
            "SPECSTREAM_METRICS_MAX_BYTES": "67108864",
            "SPECSTREAM_LOG_LEVEL": "debug",
            "SPECSTREAM_MODULE_HEALTH": "somewhere.health",
        }
    )
    assert settings.home == Path("/home")
    assert (settings.api_port, settings.edge_port) == (1, 65535)
    assert settings.api_key == "k-1"
    assert (settings.grace_seconds, settings.drain_deadline_seconds) == (0.5, 3600)
    assert (settings.upload_deadline_seconds, settings.envoy_heap_mib) == (60.5, 256)
    assert (settings.node_lost_seconds, settings.move_seconds) == (90, 120.5)
    assert (settings.usage_seconds, settings.metrics_max_bytes) == (0.5, 2**26)
    assert settings.request_window_seconds == 10
    assert settings.log_level == "DEBUG"
    assert settings.module("health") == "somewhere.health"
    assert "k-1" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("SPECSTREAM_API_PORT", "0", id="no port"),
        pytest.param("SPECSTREAM_API_PORT", "65536", id="beyond the last port"),
        pytest.param("SPECSTREAM_EDGE_PORT", "http", id="not a number"),
        pytest.param("SPECSTREAM_EDGE_PORT", "8080", id="the api's own"),
        pytest.param("SPECSTREAM_GRACE_SECONDS", "0", id="no grace"),
        pytest.param("SPECSTREAM_GRACE_SECONDS", "inf", id="for ever"),
        pytest.param("SPECSTREAM_GRACE_SECONDS", "nan", id="not a number of seconds"),
        pytest.param("SPECSTREAM_DRAIN_DEADLINE_SECONDS", "-1", id="negative"),
        pytest.param("SPECSTREAM_UPLOAD_DEADLINE_SECONDS", "0", id="no time to send a request"),
        pytest.param("SPECSTREAM_NODE_LOST_SECONDS", "9.9", id="too soon to tell one node from all"),
        pytest.param("SPECSTREAM_MOVE_SECONDS", "soon", id="no number"),
        pytest.param("SPECSTREAM_ENVOY_HEAP_MIB", "63", id="less than Envoy needs"),
        pytest.param("SPECSTREAM_ENVOY_HEAP_MIB", "1e3", id="not a whole number"),
        pytest.param("SPECSTREAM_USAGE_SECONDS", "0.4", id="measured too often"),
        pytest.param("SPECSTREAM_USAGE_SECONDS", "nan", id="no number of seconds to measure after"),
        pytest.param("SPECSTREAM_REQUEST_WINDOW_SECONDS", "0.9", id="a window that is too short"),
        pytest.param("SPECSTREAM_METRICS_MAX_BYTES", "67108863", id="less than what is written takes"),
        pytest.param("SPECSTREAM_METRICS_MAX_BYTES", "1e9", id="no whole number of bytes"),
        pytest.param("SPECSTREAM_DISK_RESERVE_MIB", "-1", id="less than nothing"),
        pytest.param("SPECSTREAM_DISK_RESERVE_MIB", "0.5", id="a part of a MiB"),
        pytest.param("SPECSTREAM_DISK_RESERVE_MIB", "65537", id="too large a reserve"),
        pytest.param("SPECSTREAM_LOG_LEVEL", "LOUD", id="no such level"),
        pytest.param("SPECSTREAM_METRICS", "statsd", id="no such way for metrics"),
        pytest.param("SPECSTREAM_METRICS_DEPLOYMENTS", "-1", id="fewer deployments than none"),
        pytest.param("SPECSTREAM_METRICS_DEPLOYMENTS", "10001", id="too many deployments"),
        pytest.param("SPECSTREAM_CLUSTER", "k8s", id="no such cluster"),
        pytest.param("SPECSTREAM_COPIES", "0", id="no copy at all"),
        pytest.param("SPECSTREAM_COPIES", "4", id="more copies than there may be"),
        pytest.param("SPECSTREAM_KUBECONFIG", "/no/such/file", id="no file"),
        pytest.param("SPECSTREAM_KUBE_NAMESPACE", "Replicas", id="no name of a namespace"),
        pytest.param("SPECSTREAM_KUBE_POD_SECURITY", "privileged", id="a level that is not offered"),
        pytest.param("SPECSTREAM_HOME", "a\nb", id="a path of two lines"),
    ],
)
def test_a_wrong_value_is_named(name, value):
    with pytest.raises(CannotStart, match=name):
        from_environment({name: value})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SPECSTREAM_APIPORT", "SPECSTREAM_API_PORT"),
        ("SPECSTREAM_MACHINETYPES", "SPECSTREAM_MACHINE_TYPES"),
        ("SPECSTREAM_COPPIES", "SPECSTREAM_COPIES"),
        ("SPECSTREAM_MORE_EDGE_PORT", "SPECSTREAM_MORE_EDGE_PORTS"),
        ("SPECSTREAM_MODULE_HELATH", "SPECSTREAM_MODULE_HEALTH"),
    ],
)
def test_a_name_that_is_nearly_that_of_a_setting_is_refused(name, meant):
    with pytest.raises(CannotStart, match=f"{name}: there is no such setting; did you mean {meant}?"):
        from_environment({name: "9"})
    assert from_environment({name: ""}) == from_environment({})


@pytest.mark.parametrize(
    "name",
    [
        "SPECSTREAM_TEST_KUBECONFIG",
        "SPECSTREAM_SEED",
        "SPECSTREAM_BENCH_DEPLOYMENTS",
        "SPECSTREAM_NATS_URL",
        "API_PORTS",
    ],
)
def test_what_is_somebody_else_s_is_left_alone(name):
    assert from_environment({name: "9"}) == from_environment({})


def test_every_mistake_is_said_at_once_and_no_secret_with_it():
    with pytest.raises(CannotStart) as refusal:
        from_environment({"SPECSTREAM_API_KEY": "two words", "SPECSTREAM_API_PORT": "x"})
    assert "SPECSTREAM_API_KEY" in str(refusal.value)
    assert "SPECSTREAM_API_PORT" in str(refusal.value)
    assert "two words" not in str(refusal.value)


def test_an_empty_variable_counts_as_not_set():
    assert from_environment({"SPECSTREAM_API_KEY": "", "SPECSTREAM_API_PORT": ""}).api_key is None


def test_further_edges_are_switched_on_by_their_ports():
    assert from_environment({}).more_edge_ports == ()
    assert from_environment({"SPECSTREAM_MORE_EDGE_PORTS": "8082, 9000"}).more_edge_ports == (8082, 9000)


@pytest.mark.parametrize("ports", ["0", "8082,", "8082,8083,8084", "x", "8082,8082", "8080", "8081"])
def test_further_edges_that_cannot_be_are_refused_by_name(ports):
    with pytest.raises(CannotStart, match="SPECSTREAM_MORE_EDGE_PORTS"):
        from_environment({"SPECSTREAM_MORE_EDGE_PORTS": ports})
