"""From what Envoy pushes to batches of running totals."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from libs.common.clock import Ticks
from libs.common.metrics.intervals import Intervals
from libs.common.metrics.samples import Kind, RequestTotals
from libs.common.services import ROUTER, edge_of
from services.router.measuring.counts import Counts
from services.router.measuring.in_flight import CALLED_WITHIN_S
from services.router.measuring.memory import CountsFile
from services.router.measuring.outbox import Outbox
from services.router.measuring.said import Push, Values

logger = structlog.get_logger()

SOURCE: Final = edge_of(ROUTER)
_REPLACED: Final = 8


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Of Envoy (`infra/envoy/bootstrap.json`), and of the looks at all its counters."""

    push_s: float = 5.0
    sweep_s: float = 600.0
    look_s: float = 240.0
    """Less than half of the time between sweeps: what is counted in the moment between a push and the sweep
    after it is pushed no more, and goes with the next sweep."""


RHYTHM: Final = Rhythm()


class RequestCounts:
    """Follows one Envoy: the one that started last. Each of its pushes makes one batch, also an empty one:
    of an interval without a batch nothing is known.

    called_at: when a deployment's counters last changed, in ticks, as far as that was in the last minute.
    """

    def __init__(
        self,
        *,
        read_counters: Callable[[], Awaitable[Values | None]],
        exists: Callable[[str], bool],
        file: CountsFile,
        outbox: Outbox,
        ticks: Ticks,
        rhythm: Rhythm = RHYTHM,
        source: str = SOURCE,
    ) -> None:
        """read_counters: all of Envoy's. exists: whether there is a deployment with this id. source: under
        which name what it counts is published."""
        self._source = source
        self._read_counters = read_counters
        self._exists = exists
        self._file = file
        self._outbox = outbox
        self._ticks = ticks
        self._rhythm = rhythm
        self._counts: Counts | None = None
        self._intervals: Intervals[RequestTotals] | None = None
        self._is_complete = False
        """Whether all that Envoy had before its first push here is known."""
        self._seen: Values | None = None
        """A look that waits for the next push, which says that the Envoy is still the same one."""
        self._looked_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._pushed_at: float | None = None
        self._unsure_until = 0.0
        """Until a whole time between sweeps has passed since pushes were missed: meanwhile it is unknown when
        Envoy drops what it has hidden."""
        self._hidden_at: deque[float] = deque()
        """When there were sweeps. What they hid, the next one drops."""
        self._replaced: deque[str] = deque(maxlen=_REPLACED)
        self._taken_at = 0.0
        self._written_at: float | None = None
        self._failures = 0
        self.called_at: dict[str, float] = {}

    async def take(self, push: Push) -> None:
        """In the order in which Envoy sends them."""
        if push.counter_id in self._replaced:
            return
        if self._looking is not None and not self._looking.done():
            # A look that takes longer than an interval may be of before or after the sweep.
            self._looking.cancel()
        counts, now = await self._counts_of(push.counter_id), self._ticks()
        if self._seen is not None:
            self._note_calls(counts.resync(self._seen, exists=self._exists), now)
            self._seen, self._is_complete = None, True
        if self._is_complete and (self._written_at is None or now - self._written_at >= self._rhythm.look_s):
            self._written_at = now
            await asyncio.to_thread(self._file.write, counts.remember())
        self._note_sweeps(counts, push, now)
        self._note_calls(counts.push(push.values), now)
        if self._is_complete:
            self._publish(counts, push, now)
        if self._is_look_due(now):
            self._looking = asyncio.ensure_future(self._read_all())

    def _note_sweeps(self, counts: Counts, push: Push, now: float) -> None:
        if self._pushed_at is None or now - self._pushed_at > 1.5 * self._rhythm.push_s:
            self._unsure_until = now + self._rhythm.sweep_s + self._rhythm.push_s
        elif counts.has_hidden(push.values):
            self._hidden_at.append(self._pushed_at)
        self._pushed_at = now

    def _is_look_due(self, now: float) -> bool:
        if not self._is_complete or self._looked_at is None or now < self._unsure_until:
            return True
        # The sweep comes just after this push, so the look comes just after the sweep.
        slack = self._rhythm.push_s / 2
        is_dropping = bool(self._hidden_at) and now >= self._hidden_at[0] + self._rhythm.sweep_s - slack
        return is_dropping or now - self._looked_at >= self._rhythm.look_s

    def _note_calls(self, deployment_ids: set[str], now: float) -> None:
        for deployment_id in deployment_ids:
            self.called_at.pop(deployment_id, None)
            self.called_at[deployment_id] = now
        # By rising time, so that the oldest are first.
        while self.called_at and now - self.called_at[next(iter(self.called_at))] > CALLED_WITHIN_S:
            del self.called_at[next(iter(self.called_at))]

    def remember(self) -> None:
        """Before the router ends."""
        if self._counts is not None and self._is_complete:
            self._file.write(self._counts.remember())

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        self.remember()

    async def _counts_of(self, counter_id: str) -> Counts:
        if self._counts is not None and self._counts.counter_id == counter_id:
            return self._counts
        if self._counts is not None:
            self._replaced.append(self._counts.counter_id)
        memory = await asyncio.to_thread(self._file.read)
        remembered = Counts.remembered(memory, counter_id)
        self._is_complete = remembered is not None
        self._counts = remembered or Counts(counter_id)
        self._seen, self._looked_at, self._pushed_at, self._taken_at = None, None, None, 0.0
        self._hidden_at.clear()
        logger.info("counting requests", counter_id=counter_id, is_remembered=self._is_complete)
        return self._counts

    async def _read_all(self) -> None:
        now, slack = self._ticks(), self._rhythm.push_s / 2
        seen = await self._read_counters()
        if seen is not None:
            self._seen, self._looked_at = seen, now
            while self._hidden_at and now >= self._hidden_at[0] + self._rhythm.sweep_s - slack:
                self._hidden_at.popleft()

    def _publish(self, counts: Counts, push: Push, now: float) -> None:
        if self._intervals is None:
            self._intervals = self._begin(0)
        self._intervals.count_anew(counts.counter_id)
        interval_s = push.taken_at - self._taken_at
        batch = self._intervals.next(
            counts.totals,
            ended_at=push.taken_at,
            interval_s=interval_s if 0 < interval_s < 60 else self._rhythm.push_s,
            now=now,
        )
        self._taken_at = push.taken_at
        self._outbox.put(batch)
        if self._failures != self._outbox.failures:
            # What a lost batch said of a change is said again, with all the rest.
            self._failures = self._outbox.failures
            self._intervals = self._begin(batch.number)

    def _begin(self, number: int) -> Intervals[RequestTotals]:
        counter_id = self._counts.counter_id if self._counts is not None else ""
        return Intervals(Kind.REQUESTS, source=self._source, counter_id=counter_id, number=number)
