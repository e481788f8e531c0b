"""Two packages own one module each other's way; the set-up puts them right."""

import subprocess
import sys


def test_telemetry_and_xds_live_in_one_environment():
    """In a process of its own: import order must not matter, and nothing else may have imported them."""
    for first, second in (
        ("opentelemetry.exporter.otlp.proto.grpc.trace_exporter", "envoy.service.discovery.v3.ads_pb2_grpc"),
        ("envoy.service.discovery.v3.ads_pb2_grpc", "opentelemetry.exporter.otlp.proto.grpc.trace_exporter"),
    ):
        subprocess.run([sys.executable, "-c", f"import {first}, {second}"], check=True)
