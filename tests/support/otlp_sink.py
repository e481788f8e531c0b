"""An OTLP endpoint in this process: keeps the spans that it is sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True, slots=True)
class SpanSeen:
    """Ids in hex. parent_id: empty for a root."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str


@dataclass
class OtlpSink:
    """exported: which signals have come, `traces` and `metrics`."""

    endpoint: str = ""
    spans: list[SpanSeen] = field(default_factory=list)
    exported: set[str] = field(default_factory=set)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, sink: OtlpSink) -> None:
        self._sink = sink

    async def Export(self, request, _context):  # noqa: N802 - the protocol's name
        self._sink.exported.add("traces")
        for group in request.resource_spans:
            resource = {a.key: a.value.string_value for a in group.resource.attributes}
            for span in (span for scope in group.scope_spans for span in scope.spans):
                ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                self._sink.spans.append(SpanSeen(resource["service.name"], span.name, *ids))
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, sink: OtlpSink) -> None:
        self._sink = sink

    async def Export(self, _request, _context):  # noqa: N802 - the protocol's name
        self._sink.exported.add("metrics")
        return metrics_service_pb2.ExportMetricsServiceResponse()


@asynccontextmanager
async def otlp_sink() -> AsyncIterator[OtlpSink]:
    """Listens on a free port of this machine."""
    sink, server = OtlpSink(), grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(sink), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(sink), server)
    sink.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield sink
    finally:
        await server.stop(grace=None)
