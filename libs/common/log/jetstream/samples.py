"""The two ends of the stream METRICS on JetStream; `provision` has made it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.common import telemetry
from libs.common.bus import subjects
from libs.common.clock import Ticks, monotonic
from libs.common.errors import LogUnavailable, MetricsUnavailable
from libs.common.log.consumer_names import names_of_samples
from libs.common.log.jetstream.found import Found
from libs.common.log.jetstream.link import Link, status
from libs.common.log.jetstream.name_pool import ConsumerNames
from libs.common.log.jetstream.tail import ConsumerLost, Tail
from libs.common.metrics.parts import in_parts, read_part
from libs.common.metrics.port import CaughtUp, Holding, Place, Received
from libs.common.metrics.samples import Batch, Kind

logger = structlog.get_logger()

STREAM = subjects.METRICS_STREAM

ATTEMPT_S = 2.0
AGAIN_S = 0.5
"""Between two attempts to read while the stream is away."""


class JetStreamSamplePublisher:
    """A `SamplePublisher` over a connected client, which it shares and never closes."""

    def __init__(self, client: Client, *, attempt_s: float = ATTEMPT_S) -> None:
        self._jetstream = client.jetstream(timeout=attempt_s)
        self._client = client
        self._attempt_s = attempt_s
        self._lost = telemetry.counter(
            "specstream.samples.lost",
            unit="{batch}",
            description="Batches of samples that METRICS did not take",
        )

    async def publish(self, batch: Batch) -> None:
        """All parts at once. While there is no connection none is kept for later: it would be too old."""
        subject = subjects.samples(batch.kind, batch.source)
        messages = in_parts(batch)
        try:
            await asyncio.gather(*(self._publish(subject, message) for message in messages))
        except MetricsUnavailable:
            self._lost.add(1, {"kind": batch.kind.value})
            raise

    async def _publish(self, subject: str, message: bytes) -> None:
        if not self._client.is_connected:
            raise MetricsUnavailable("not connected to the broker")
        try:
            await self._jetstream.publish(subject, message, timeout=self._attempt_s, stream=STREAM)
        except (NatsError, TimeoutError) as error:
            raise MetricsUnavailable(f"{STREAM} did not take samples: {error!r}") from error


@dataclass(frozen=True, slots=True)
class _Stream:
    """created: tells a stream from one that was made anew under its name."""

    created: str
    keeps_s: float
    first_at: float | None


class JetStreamSampleReader:
    """A `SampleReader` over a connected client, which it shares and never closes.

    consumers: the names that the broker lets it give its consumers; None where any will do.
    """

    def __init__(
        self,
        client: Client,
        *,
        consumers: Sequence[str] | None = None,
        attempt_s: float = ATTEMPT_S,
        again_s: float = AGAIN_S,
        ticks: Ticks = monotonic,
    ) -> None:
        self._link = Link(client, ticks=ticks)
        self._names = ConsumerNames(consumers)
        self._attempt_s = attempt_s
        self._again_s = again_s
        self._rejected = telemetry.counter(
            "specstream.samples.rejected",
            unit="{message}",
            description="Messages of METRICS that are no samples",
        )

    async def follow(
        self, *kinds: Kind, since: float, after: Place | None = None, only: str | None = None
    ) -> AsyncIterator[Received | CaughtUp]:
        filters = tuple(subjects.samples(kind) for kind in kinds)
        stream, behind = ("", None) if after is None else (after.stream, after.sequence)
        is_caught_up, is_away = False, False
        while True:
            try:
                present = await self._ask()
                if present.created != stream:
                    # What was read of an earlier one of that name had sequences of its own.
                    stream, behind = present.created, None
                from_time = _moment(since)
                async with Tail(
                    self._link, STREAM, filters, after=behind, since=from_time, names=self._names
                ) as tail:
                    if is_away:
                        logger.info("samples are read again")
                        is_away = False
                    if not is_caught_up and tail.pending == 0:
                        is_caught_up = True
                        yield CaughtUp()
                    while True:
                        for found, _, pending in await tail.next():
                            behind, since = found.sequence, found.time.timestamp()
                            if (received := self._received(found, stream, only)) is not None:
                                yield received
                            if not is_caught_up and pending == 0:
                                is_caught_up = True
                                yield CaughtUp()
            except (ConsumerLost, LogUnavailable, MetricsUnavailable) as error:
                if not is_away:
                    logger.warning("samples cannot be read", error=str(error))
                    is_away = True
                await asyncio.sleep(self._again_s)

    async def holding(self) -> Holding:
        present = await self._ask()
        return Holding(present.keeps_s, present.first_at)

    def _received(self, found: Found, stream: str, only: str | None) -> Received | None:
        _, kind, source = found.subject.split(".")
        batch = read_part(kind, source, found.data, only=only)
        if batch is None:
            self._rejected.add(1)
            return None
        return Received(batch, found.time.timestamp(), found.sequence, stream)

    async def _ask(self) -> _Stream:
        try:
            message = await self._link.request(
                f"$JS.API.STREAM.INFO.{STREAM}", b"", timeout_s=self._attempt_s
            )
        except LogUnavailable as error:
            raise MetricsUnavailable(f"{STREAM} cannot be asked: {error}") from error
        answer: dict[str, Any] = json.loads(message.data) if message and status(message) is None else {}
        if "config" not in answer:
            problem = answer.get("error", {}).get("description", "no answer")
            raise MetricsUnavailable(f"{STREAM} does not say what it holds: {problem}")
        state = answer["state"]
        first = datetime.fromisoformat(state["first_ts"]).timestamp() if state["messages"] else None
        return _Stream(answer["created"], answer["config"]["max_age"] / 1e9, first)


def open_sample_reader(client: Client, service: str) -> JetStreamSampleReader:
    """As a service opens it, by the consumers that the broker lets it have."""
    return JetStreamSampleReader(client, consumers=names_of_samples(service))


def _moment(seconds: float) -> datetime:
    """Never before 1970, and exactly that time: a float of seconds is exact to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=max(0.0, seconds))
