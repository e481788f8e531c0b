"""Logs, traces and metrics of a process. Nothing leaves it unless an OTLP endpoint is set.

`setup` once at start, `shutdown` at the end; between them `span`, `counter`, `gauge`, `histogram`, and
structlog.
"""

from libs.common.telemetry.logs import configure_logs
from libs.common.telemetry.metrics import (
    MOST_DEPLOYMENTS,
    counter,
    gauge,
    histogram,
    is_read,
    start_metrics,
    stop_metrics,
)
from libs.common.telemetry.traces import current_traceparent, span, start_traces, stop_traces

__all__ = ["counter", "current_traceparent", "gauge", "histogram", "is_read", "setup", "shutdown", "span"]


def setup(
    service: str,
    *,
    otlp_endpoint: str | None,
    level: str = "INFO",
    registry: object | None = None,
    deployments: int = MOST_DEPLOYMENTS,
    process: str = "",
) -> None:
    """service: its name, the `service.name` of all that it sends. otlp_endpoint: an OTLP/gRPC address.
    registry: of prometheus_client, where the metrics are read instead of sent. deployments: how many have
    series of their own. process: by which name its metrics are told from those of another process of its
    service; empty for the first one."""
    configure_logs(service, level=level)
    start_traces(service, otlp_endpoint)
    start_metrics(service, otlp_endpoint, registry, deployments=deployments, process=process)


def shutdown() -> None:
    """Send what is still waiting."""
    stop_traces()
    stop_metrics()
