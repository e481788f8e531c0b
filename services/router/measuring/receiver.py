"""What Envoy says of its requests, on the router's socket: pushes of counters, and load reports."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

import grpc
import grpc.aio
import structlog
from envoy.service.load_stats.v3 import lrs_pb2_grpc
from envoy.service.load_stats.v3.lrs_pb2 import LoadStatsRequest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from libs.common.clock import Clock, Ticks
from libs.common.metrics.samples import LONGEST_S
from services.router.measuring.in_flight import (
    ASK_EVERY_S,
    InFlightBatches,
    Question,
    choose,
    read_report,
)
from services.router.measuring.outbox import Outbox
from services.router.measuring.requests import SOURCE, RequestCounts
from services.router.measuring.said import read_push

logger = structlog.get_logger()

MAX_REPORTERS: Final = 16
_CHOOSE_S: Final = 1.0


class Receiver(
    metrics_service_pb2_grpc.MetricsServiceServicer,
    lrs_pb2_grpc.LoadReportingServiceServicer,  # type: ignore[misc]  # generated untyped
):
    """Of one Envoy: of several that report, the one that began last is asked and heard."""

    def __init__(
        self,
        requests: RequestCounts,
        outbox: Outbox,
        *,
        needed: Callable[[], Iterable[str]],
        clock: Clock,
        ticks: Ticks,
        source: str = SOURCE,
    ) -> None:
        """needed: the deployments of which a policy needs to know what is in flight. source: by which name
        what is in flight is published."""
        self._requests = requests
        self._outbox = outbox
        self._needed = needed
        self._clock = clock
        self._ticks = ticks
        self._one_at_a_time = asyncio.Lock()
        self._batches = InFlightBatches(source)
        self._in_flight: Mapping[str, int] = {}
        self._failures = 0
        """How many batches were lost, as far as everything was told again since."""
        self._reporters: list[object] = []

    def add_to(self, server: grpc.aio.Server) -> None:
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(self, server)  # type: ignore[no-untyped-call]
        lrs_pb2_grpc.add_LoadReportingServiceServicer_to_server(self, server)

    async def Export(  # noqa: N802 - the name that the protocol gives it
        self,
        request: ExportMetricsServiceRequest,
        context: Any,  # noqa: ARG002
    ) -> ExportMetricsServiceResponse:
        push = read_push(request)
        if push is not None:
            async with self._one_at_a_time:
                await self._requests.take(push)
        return ExportMetricsServiceResponse()

    async def StreamLoadStats(  # noqa: N802 - the name that the protocol gives it
        self, request_iterator: AsyncIterator[LoadStatsRequest], context: Any
    ) -> None:
        if len(self._reporters) >= MAX_REPORTERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_REPORTERS} streams are open")
        me = object()
        self._reporters.append(me)
        asking = asyncio.ensure_future(self._ask(context))
        try:
            async for request in request_iterator:
                # The first one comes before anything was asked.
                if request.cluster_stats and self._reporters[-1] is me:
                    self._take(request)
        finally:
            self._reporters.remove(me)
            asking.cancel()
            # It may have failed before: the stream has ended, and with it what is asked.
            await asyncio.gather(asking, return_exceptions=True)

    async def _ask(self, context: Any) -> None:
        asked: Question | None = None
        while True:
            now = self._ticks()
            question = choose(self._needed(), self._requests.called_at, self._in_flight, now)
            if question == (asked or Question()):
                await asyncio.sleep(_CHOOSE_S)
                continue
            asked = question
            await context.write(question.response())
            await asyncio.sleep(ASK_EVERY_S)

    def _take(self, report: LoadStatsRequest) -> None:
        period = report.cluster_stats[0].load_report_interval.ToTimedelta()
        self._in_flight = read_report(report)
        if self._failures != self._outbox.failures:
            self._failures = self._outbox.failures
            self._batches.lost()
        self._outbox.put(
            self._batches.next(
                self._in_flight,
                interval_s=min(period.total_seconds(), LONGEST_S),
                ended_at=self._clock().timestamp(),
                now=self._ticks(),
            )
        )
