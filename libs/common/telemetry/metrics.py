"""Metrics: instruments by name. Attributes have few values; an id of an entity is never one of them."""

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram

_METER = "specstream"
EXPORT_INTERVAL_MS = 5_000


def start_metrics(service: str, otlp_endpoint: str | None) -> None:
    """Without an endpoint the instruments count for nobody and cost next to nothing."""
    if not otlp_endpoint:
        return
    # Here, because gRPC would cost every process 15 MiB, and all of it time, also where nothing is exported.
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter,
    )
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    exporter = OTLPMetricExporter(endpoint=otlp_endpoint, insecure=otlp_endpoint.startswith("http://"))
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=EXPORT_INTERVAL_MS)
    metrics.set_meter_provider(
        MeterProvider(
            metric_readers=[reader],
            resource=Resource.create({"service.name": service}),
            shutdown_on_exit=False,
        )
    )


def stop_metrics() -> None:
    # The provider that is there without an endpoint has nothing to shut down.
    shutdown = getattr(metrics.get_meter_provider(), "shutdown", None)
    if shutdown is not None:
        shutdown()


def counter(name: str, *, unit: str, description: str) -> Counter:
    """`name` by OpenTelemetry's conventions, e.g. `specstream.log.appends`."""
    return metrics.get_meter(_METER).create_counter(name, unit=unit, description=description)


def histogram(name: str, *, unit: str, description: str) -> Histogram:
    return metrics.get_meter(_METER).create_histogram(name, unit=unit, description=description)
