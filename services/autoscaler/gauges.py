"""The gauges of the autoscaler, told every few seconds by the copy that leads."""

import asyncio
from collections.abc import Callable
from typing import Final

from libs.common import telemetry
from libs.common.clock import Ticks
from libs.common.metrics.samples import Kind
from services.autoscaler.fleet import Fleet, Shown

TOLD_S: Final = 10.0


class Gauges:
    """leads: whether this copy is the one that decides."""

    def __init__(self, fleet: Fleet, *, leads: Callable[[], bool], ticks: Ticks) -> None:
        self._fleet = fleet
        self._leads = leads
        self._ticks = ticks
        self._began = ticks()
        self._did_lead = False
        self._wanted = telemetry.gauge(
            "specstream.deployment.wanted", unit="{replica}", description="The number of replicas in force"
        )
        self._ready = telemetry.gauge(
            "specstream.deployment.ready",
            unit="{replica}",
            description="Replicas that are ready and not about to leave",
        )
        self._short = telemetry.gauge(
            "specstream.deployment.short_for",
            unit="s",
            description="For how long fewer replicas have been ready than are wanted; of others the longest",
        )
        self._at_ceiling = telemetry.gauge(
            "specstream.autoscaler.at_ceiling_for",
            unit="s",
            description="For how long its number has been the maximum of its spec; of others the longest",
        )
        self._unknown = telemetry.gauge(
            "specstream.autoscaler.unknown_for",
            unit="s",
            description="For how long something that it scales by has been unknown; of others the longest",
        )
        self._turns = telemetry.gauge(
            "specstream.autoscaler.direction_changes",
            unit="{change}",
            description="How often its number changed direction in the last half hour; of others the most",
        )
        self._decided = telemetry.gauge(
            "specstream.autoscaler.decision_age",
            unit="s",
            description="How long ago any deployment that scales by load was decided about, at most",
        )
        self._sampled = telemetry.gauge(
            "specstream.samples.age",
            unit="s",
            description="How long ago the autoscaler received the newest samples of a kind",
        )

    async def run(self) -> None:
        """Never returns."""
        while True:
            if telemetry.is_read():
                await self.tell()
            await asyncio.sleep(TOLD_S)

    async def tell(self) -> None:
        """In turns with others, however many deployments there are."""
        now = self._ticks()
        for kind in Kind:
            heard_at = self._fleet.knowledge.heard_at.get(kind, self._began)
            self._sampled.tell(max(0.0, now - heard_at), {"kind": kind.value})
        if self._leads():
            self._did_lead = True
            await self._tell_all(now)
        elif self._did_lead:
            self._did_lead = False
            self._tell_nothing()

    async def _tell_all(self, now: float) -> None:
        looking = self._fleet.in_turns(now=now)
        while True:
            try:
                next(looking)
            except StopIteration as done:
                shown: Shown = done.value
                break
            await asyncio.sleep(0)
        for gauge, values in ((self._wanted, shown.wanted), (self._ready, shown.ready)):
            gauge.tell_each(values)
            await asyncio.sleep(0)
        for gauge, values in (
            (self._short, shown.short_for),
            (self._at_ceiling, shown.at_ceiling_for),
            (self._unknown, shown.unknown_for),
            (self._turns, shown.direction_changes),
        ):
            gauge.tell_each(values, together=max)
            await asyncio.sleep(0)
        self._decided.tell(shown.oldest_s)

    def _tell_nothing(self) -> None:
        self._fleet.forget()
        for gauge in (
            self._wanted,
            self._ready,
            self._short,
            self._at_ceiling,
            self._unknown,
            self._turns,
        ):
            gauge.tell_each({})
        self._decided.tell(None)
