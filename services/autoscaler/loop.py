"""The autoscaler's clockwork: each deployment is decided about when it was measured, and from time to time.

| what                                           | then                                                  |
|------------------------------------------------|-------------------------------------------------------|
| something new was measured of it               | at once                                               |
| nothing was                                    | every 15 s, by requests in flight every 2 s           |
| a decision of it is on its way                 | once its view has that                                |
| what METRICS holds is still being read         | once all of it is, or nothing more comes of it        |
| another copy leads, or an import is on its way | not at all; what is measured is taken in all the same |
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog

from libs.common import telemetry
from libs.common.autoscaling.usage import INTERVALS
from libs.common.clock import Clock, Ticks
from libs.common.errors import LogUnavailable
from libs.common.events.scaling import ReplicasDecided
from libs.common.metrics.port import CaughtUp, Received, SampleReader
from libs.common.metrics.samples import Kind
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView
from services.autoscaler.appending import Appender, Stored
from services.autoscaler.keeper import Keeper
from services.autoscaler.knowledge import Knowledge
from services.autoscaler.receipts import Receipts

logger = structlog.get_logger()

LOOKED_S: Final = 0.5
"""How often it is looked whose time has come."""
SLICE_S: Final = 0.02
"""So long decisions are made before somebody else may do something."""
AT_ONCE: Final = 16
"""Decisions that are stored at once."""
READ_AT_ONCE: Final = 250
"""Memories that are read at once; to take in so many holds up the rest for some milliseconds."""
STORED_WAITS_S: Final = 2.0
"""So long nothing may come of what METRICS holds before decisions are made without the rest of it."""
STORED_WITHIN_S: Final = 30.0
"""So long they wait for it at most."""
WHOLE_WITHIN_S: Final = 120.0
"""All that is measured is in the batches of so long: one in a minute is whole."""


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    """A decision; nothing else is decided until the view has taken it in."""

    sequence: int | None
    """None while it is being stored."""
    view: DeploymentView


def is_history(received: Received, *, wall: float) -> bool:
    """Whether it says nothing that a later batch does not say: of what replicas use only the newest counts,
    and for three intervals at most."""
    batch = received.batch
    counts_s = INTERVALS * batch.interval_s + WHOLE_WITHIN_S
    return batch.kind is Kind.USAGE and wall - received.stored_at > counts_s


class Loop:
    """leads: whether this copy is the one that decides."""

    def __init__(
        self,
        knowledge: Knowledge,
        samples: SampleReader,
        appender: Appender,
        keeper: Keeper,
        progress: Progress,
        *,
        leads: Callable[[], bool],
        ticks: Ticks,
        clock: Clock,
    ) -> None:
        self._knowledge = knowledge
        self._samples = samples
        self._appender = appender
        self._keeper = keeper
        self._progress = progress
        self._leads = leads
        self._ticks = ticks
        self._clock = clock
        self._aside = Aside("decide", progress.set_aside, clock, ticks)
        self._unstored = Aside("append", progress.set_aside, clock, ticks)
        """A decision that cannot be appended: to decide it once more is no success."""
        self._touched: set[str] = set()
        self._due_at: dict[str, float] = {}
        self._on_their_way: dict[str, _OnItsWay] = {}
        self._unread: set[str] = set()
        """Those whose memory is still to be read from where it is kept."""
        self._unknown: set[str] = set()
        self._storing: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._is_caught_up = asyncio.Event()
        self._begun_at: float | None = None
        """When all that was stored of facts had come for the first time."""
        self._stored_at: float | None = None
        """When something of what METRICS holds came last; None: all of it has come."""
        self._wake = asyncio.Event()
        self._did_lead = False
        self._unknown_count = telemetry.counter(
            "specstream.autoscaler.unknown",
            unit="{decision}",
            description="Decisions in which something that a policy goes by was not known",
        )

    def caught_up(self) -> None:
        """Everything in the views was noted."""
        self._unread |= self._knowledge.policies.keys()
        if self._begun_at is None:
            self._begun_at = self._stored_at = self._ticks()
        self._is_caught_up.set()
        self._wake.set()

    def importing(self) -> None:
        self._is_caught_up.clear()

    def noted(self, view: DeploymentView) -> None:
        """Something was heard of a deployment: its spec, its replicas, or what was decided."""
        name = view.deployment_id
        if name in self._knowledge.policies:
            self._touched.add(name)
            self._wake.set()
        elif name in self._due_at:
            self._forget(name)

    async def measure(self) -> None:
        """Take in what is measured. Never returns.

        Only that is kept which belongs to a deployment that scales by load, so these have to be known before
        what METRICS holds is read: the newest measurement may be the only one for 15 s.
        """
        await self._is_caught_up.wait()
        receipts, is_stored = Receipts(), True
        since = self._clock().timestamp() - self._knowledge.request_window_s - WHOLE_WITHIN_S
        async for item in self._samples.follow(*Kind, since=since):
            if isinstance(item, CaughtUp):
                is_stored, self._stored_at = False, None
                self._wake.set()
                continue
            received: Received = item
            now = self._ticks()
            if is_stored:
                self._stored_at = now
                wall = self._clock().timestamp()
                at = receipts.stored(received.stored_at, now=now, wall=wall)
                if is_history(received, wall=wall):
                    continue
            else:
                at = receipts.live(received.stored_at, now=now)
            self._touched |= self._knowledge.take(received.batch, at=at)
            self._wake.set()

    async def decide(self) -> None:
        """Decide about whatever it is time for. Never returns."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKED_S):
                    await self._wake.wait()
            self._wake.clear()
            if not self._is_caught_up.is_set() or not self._leads():
                self._did_lead = False
                self._aside.clear()
                self._unstored.clear()
                self._tell()
                continue
            if self._is_reading():
                continue
            if not self._did_lead:
                self._did_lead = True
                self._unread |= self._knowledge.policies.keys()
                self._due_at = dict.fromkeys(self._due_at, self._ticks())
                self._keeper.start_anew()
            await self._round()
            self._tell()

    def _is_reading(self) -> bool:
        """Whether more is about to be known. Who decided meanwhile would decide about everything on what was
        so some minutes ago, and again with each batch that is read."""
        if self._begun_at is None or self._stored_at is None:
            return False
        now = self._ticks()
        return now - self._stored_at < STORED_WAITS_S and now - self._begun_at < STORED_WITHIN_S

    async def _round(self) -> None:
        due = self._take_due()
        unread = [name for name in due if name in self._unread]
        for start in range(0, len(unread), READ_AT_ONCE):
            await self._read(unread[start : start + READ_AT_ONCE])
        began = self._ticks()
        for name in due:
            with self._aside.attempt(name):
                self._decide(name)
            if self._ticks() - began >= SLICE_S:
                await asyncio.sleep(0)
                began = self._ticks()

    def _take_due(self) -> list[str]:
        now = self._ticks()
        due = self._touched | {
            name for name in self._knowledge.policies if self._due_at.get(name, now) <= now
        }
        resting = {name for name in due if self._aside.is_resting(name) or self._unstored.is_resting(name)}
        # What is new of these counts as soon as they have rested.
        self._touched &= resting
        return [name for name in due - resting if self._is_free(name)]

    def _is_free(self, name: str) -> bool:
        """Whether no decision of it is on its way."""
        under_way = self._on_their_way.get(name)
        if under_way is None:
            return True
        view = self._knowledge.views.by_id.get(name)
        if under_way.sequence is None or (view is not None and view.sequence < under_way.sequence):
            return False
        del self._on_their_way[name]
        return True

    async def _read(self, names: Sequence[str]) -> None:
        """Go on with what was remembered, by this process before or by another one."""
        found = await self._keeper.read(names)
        self._unread.difference_update(names)
        memories = self._knowledge.memories
        for name, (stretch_id, kept) in found.items():
            memory = memories.get(name)
            if memory is None or memory.stretch_id != stretch_id:
                continue
            read = kept.read(stretch_id, now=self._ticks())
            memories[name] = replace(read, hpa=replace(read.hpa, changes=memory.hpa.changes))

    def _decide(self, name: str) -> None:
        policy = self._knowledge.policies.get(name)
        view = self._knowledge.views.by_id.get(name)
        if policy is None or view is None:
            self._forget(name)
            return
        now = self._ticks()
        self._due_at[name] = now + policy.every_s
        outcome = self._knowledge.outcome(name, now=now, wall=self._clock())
        if outcome is None:
            return
        self._knowledge.memories[name] = outcome.memory
        self._keeper.note(name, outcome)
        if outcome.reasoned.unknown:
            self._unknown.add(name)
            self._unknown_count.add(1)
        else:
            self._unknown.discard(name)
        if (fact := outcome.fact()) is None:
            self._unstored.succeeded(name)
            return
        self._on_their_way[name] = _OnItsWay(None, view)
        task = asyncio.ensure_future(self._store(view, fact, made_at=now))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _store(self, view: DeploymentView, fact: ReplicasDecided, *, made_at: float) -> None:
        name, sequence = view.deployment_id, 0
        try:
            async with self._gate:
                stored, sequence = await self._appender.append(view, fact, made_at=made_at, leads=self._leads)
            self._unstored.succeeded(name)
            if stored is not Stored.NOT_LEADING:
                self._touched.add(name)
        except LogUnavailable as error:
            logger.warning("a decision has to wait for the log", deployment_id=name, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._unstored.failed(name, error)
        self._on_their_way[name] = _OnItsWay(sequence, view)
        if name not in self._knowledge.policies:
            # It scales by load no more: nothing is decided about it again, which would end this.
            self._forget(name)
        self._wake.set()

    def _forget(self, name: str) -> None:
        for known in (self._due_at, self._on_their_way):
            known.pop(name, None)
        self._unread.discard(name)
        self._unknown.discard(name)
        self._aside.succeeded(name)
        self._unstored.succeeded(name)
        self._keeper.forget(name)

    def _tell(self) -> None:
        """What the heartbeat says: that nothing is known of some is no reason to be unready."""
        now = self._ticks()
        heard = self._knowledge.heard_at
        self._progress.detail.update(
            {
                "autoscaled": len(self._knowledge.policies),
                "unknown": len(self._unknown & self._knowledge.policies.keys()),
                "measured_s_ago": {kind.value: round(now - at, 1) for kind, at in heard.items()},
                "samples_dropped": self._knowledge.batches.dropped,
            }
        )
