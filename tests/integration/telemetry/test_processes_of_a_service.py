"""Two processes of one service that both measure are told from each other, as two routers are."""

import subprocess
import sys

import pytest

ASKED = """
import sys
from prometheus_client import CollectorRegistry, generate_latest
from libs.common.telemetry.metrics import counter, start_metrics

registry = CollectorRegistry()
start_metrics("router", None, registry, process=sys.argv[1])
counter("specstream.requests.answered", unit="{request}", description="x").add_each({"d": 1})
shown = generate_latest(registry).decode()
print(*[line for line in shown.splitlines() if line.startswith("target_info{")])
"""


@pytest.mark.parametrize(("process", "is_named"), [("", False), ("router-2", True)])
def test_a_further_process_has_an_instance_of_its_own(process: str, is_named: bool) -> None:
    asked = subprocess.run([sys.executable, "-c", ASKED, process], capture_output=True, text=True, check=True)
    assert 'service_name="router"' in asked.stdout
    assert ('service_instance_id="router-2"' in asked.stdout) == is_named
