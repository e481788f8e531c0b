"""Fixtures that more than one folder uses live in tests/support, one module for each idea."""

pytest_plugins = [
    "tests.support.garbage",
    "tests.support.hypothesis_profile",
    "tests.support.scheduling",
    "tests.support.nats_reconnects",
    "tests.support.clusters",
    "tests.support.envoy",
    "tests.support.live_platform",
    "tests.support.event_logs",
    "tests.support.nats_server",
    "tests.support.nats_cluster",
    "tests.support.kubelab.tiers",
    "tests.support.kubelab.fixtures",
    "tests.support.prometheus",
]
