"""Traces: W3C context in, spans, W3C context out. The context travels in the headers of events."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_W3C = TraceContextTextMapPropagator()

EXPORT_QUEUE = 16_384
"""Spans that may wait; past it the exporter drops silently, and a burst of changes fills 2,048."""
EXPORT_DELAY_MS = 1_000


def start_traces(service: str, otlp_endpoint: str | None) -> None:
    """Without an endpoint spans still have ids, so that the log's events and lines can be joined."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    if otlp_endpoint:
        # Here, because gRPC would cost every process 15 MiB also where nothing is exported.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )

        exporter = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=otlp_endpoint.startswith("http://"))
        provider.add_span_processor(
            BatchSpanProcessor(exporter, max_queue_size=EXPORT_QUEUE, schedule_delay_millis=EXPORT_DELAY_MS)
        )
    trace.set_tracer_provider(provider)


def stop_traces() -> None:
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()


@lru_cache(maxsize=1)
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    """One for all spans: to make it takes a quarter of the CPU of a span."""
    return provider.get_tracer("specstream")


@contextmanager
def span(name: str, traceparent: str | None = None, **attributes: Any) -> Iterator[Span]:
    """A span around the block: child of `traceparent` if it is given, else of the current span.

    An exception that leaves the block is recorded on the span and goes on. Attributes that are None stay out.
    """
    parent = _W3C.extract({"traceparent": traceparent}) if traceparent else None
    present: Mapping[str, Any] = {key: value for key, value in attributes.items() if value is not None}
    tracer = _tracer(trace.get_tracer_provider())
    with tracer.start_as_current_span(name, context=parent, attributes=present) as current:
        yield current


def current_traceparent() -> str | None:
    """The present span's W3C `traceparent`, or None outside of any."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")
