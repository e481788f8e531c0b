"""What the dashboards ask is right where a service has several copies, and where there are several edges."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from infra.grafana.dashboards import DEPLOYMENT, FLEET, PLATFORM
from infra.grafana.panels import Dashboard
from tests.support.prometheus import Prometheus

AUTOSCALERS = ("autoscaler", "autoscaler-2")
ROUTERS = ("router", "router-2")


def series(name: str, processes: tuple[str, ...], *values: int, **labels: str) -> dict[str, int]:
    """As Prometheus has what each of these processes shows; its service's name comes first."""
    told = {"job": "specstream", "service": processes[0], **labels}
    return {
        f"{name}{_selector({**told, 'process': process})}": value
        for process, value in zip(processes, values, strict=True)
    }


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


@pytest.mark.parametrize(
    ("asked", "given", "shown"),
    [
        pytest.param(
            (PLATFORM, "Services", "{{process}}"),
            series("up", AUTOSCALERS, 1, 0),
            {'{process="autoscaler"}': 1, '{process="autoscaler-2"}': 0},
            id="each process of a service has a line of its own",
        ),
        pytest.param(
            (PLATFORM, "Leaders", "{{service}}"),
            series("specstream_lease_held", AUTOSCALERS, 0, 1, exported_service="autoscaler"),
            {'{service="autoscaler"}': 1},
            id="one of two copies leads",
        ),
        pytest.param(
            (PLATFORM, "Waiting in the log", "{{service}}"),
            series("specstream_log_waiting", ROUTERS, 2, 7, exported_service="router"),
            {'{service="router"}': 7},
            id="what waits for the last of a service",
        ),
        pytest.param(
            (DEPLOYMENT, "In flight", "in flight"),
            series("specstream_deployment_in_flight", ROUTERS, 2, 1, deployment_id="d"),
            {"{}": 3},
            id="each edge has requests of its own",
        ),
        pytest.param(
            (FLEET, "Replicas", "wanted"),
            series("specstream_deployment_wanted", AUTOSCALERS, 2, 2, deployment_id="d")
            | series("specstream_deployment_wanted", AUTOSCALERS, 3, 3, deployment_id="e"),
            {"{}": 5},
            id="a replica counts once while one copy takes over from another",
        ),
    ],
)
def test_each_counts_once(
    prometheus: Prometheus,
    tmp_path: Path,
    asked: tuple[Dashboard, str, str],
    given: Mapping[str, int],
    shown: Mapping[str, int],
) -> None:
    dashboard, title, legend = asked
    (expr,) = (
        query.expr.replace("$deployment_id", "d")
        for panel in dashboard.panels
        if panel.title == title
        for query in panel.queries
        if query.legend == legend
    )
    expected = [{"labels": labels, "value": value} for labels, value in shown.items()]
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": f"{value}x5"} for name, value in given.items()],
        "promql_expr_test": [{"expr": expr, "eval_time": "3m", "exp_samples": expected}],
    }
    cases = tmp_path / "cases.yaml"
    cases.write_text(yaml.safe_dump({"tests": [case]}))
    tested = subprocess.run(
        [prometheus.tool, "test", "rules", str(cases)], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
