"""As many deployments as the settings allow have series of their own, in a process that is asked for them."""

import subprocess
import sys

ASKED = """
from prometheus_client import CollectorRegistry, generate_latest
from libs.common.telemetry.metrics import counter, gauge, start_metrics

registry = CollectorRegistry()
start_metrics("health", None, registry, deployments=5_000)
ready = gauge("specstream.deployment.ready", unit="{replica}", description="x")
ready.tell_each({f"d{number}": number for number in range(6_000)})
failed = counter("specstream.health.failed_probes", unit="{probe}", description="x")
failed.add_each({f"d{number}": 1 for number in range(6_000)})
shown = generate_latest(registry).decode()
for name in ("specstream_deployment_ready", "specstream_health_failed_probes_total"):
    print(shown.count(name + '{deployment_id="d'), shown.count(name + '{deployment_id="other"'))
print("overflow" in shown)
"""


def test_each_has_its_own_and_the_rest_are_other() -> None:
    asked = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)
    assert asked.stdout.split() == ["5000", "1", "5000", "1", "False"]
