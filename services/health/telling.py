"""Telling how the checks of each deployment stand: what changed within a second, all of it again and again.

So many in a second and no more, however many deployments there are: then what did not change is told less
often, and what nobody told for as long as the broker keeps it counts as unknown.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime

from libs.common.bus.checks import CheckSignal, DeploymentSignal, ExitSignal, ReplicaSignal
from libs.common.clock import Clock, Ticks
from libs.common.cluster.port import Exit, ObservedReplica, ObservedWorkload
from services.health.probe_runner import ProbeRunner
from services.health.probed import CheckSeen
from services.health.probing import Failure, ProberError, Success
from services.health.schedule import Schedule

Publish = Callable[[str, DeploymentSignal], Awaitable[None]]

TICK_S = 1.0
MOST_AT_ONCE = 20
"""Deployments that are told in one tick."""
AGAIN_S = 15.0
"""Between two tellings of what did not change, while there are few enough."""
MOST_CHARACTERS = 200
"""Of what a check said."""


class Teller:
    """Tells of each deployment that it is shown, until it is shown no more."""

    def __init__(self, publish: Publish, probe_runner: ProbeRunner, *, clock: Clock, ticks: Ticks) -> None:
        self._publish = publish
        self._probe_runner = probe_runner
        self._clock = clock
        self._ticks = ticks
        self._shown: dict[str, ObservedWorkload] = {}
        self._news: dict[str, None] = {}
        self._due: Schedule[str] = Schedule()

    def show(self, deployment_id: str, workload: ObservedWorkload | None) -> None:
        if workload is None or not workload.replicas:
            self._shown.pop(deployment_id, None)
            self._news.pop(deployment_id, None)
            self._due.drop(deployment_id)
        elif self._shown.get(deployment_id) != workload:
            self._shown[deployment_id] = workload
            self._news[deployment_id] = None

    def show_none_but(self, deployment_ids: Collection[str]) -> None:
        for deployment_id in self._shown.keys() - set(deployment_ids):
            self.show(deployment_id, None)

    def changed(self, deployment_id: str) -> None:
        """A check of it stands otherwise than before."""
        if deployment_id in self._shown:
            self._news[deployment_id] = None

    async def run(self) -> None:
        """Never returns."""
        while True:
            await asyncio.sleep(TICK_S)
            await self.tell()

    async def tell(self) -> None:
        """What is due now: the news first."""
        now = self._ticks()
        told = list(self._news)[:MOST_AT_ONCE]
        due = [key for key, _ in self._due.pop_due(now, MOST_AT_ONCE - len(told))]
        for deployment_id in dict.fromkeys((*told, *due)):
            self._news.pop(deployment_id, None)
            self._due.put(deployment_id, now + AGAIN_S)
            await self._publish(deployment_id, self._signal(deployment_id))

    def _signal(self, deployment_id: str) -> DeploymentSignal:
        seen = self._probe_runner.seen(deployment_id)
        shown = self._shown[deployment_id].replicas
        return DeploymentSignal(
            sent_at=self._clock(),
            replicas=tuple(_replica(o, seen.get((o.replica_id, o.attempt), ())) for o in shown),
        )


def _replica(o: ObservedReplica, seen: tuple[CheckSeen, ...]) -> ReplicaSignal:
    return ReplicaSignal(
        replica_id=o.replica_id,
        attempt=o.attempt,
        last_exit=_exit(o.last_exit),
        checks=tuple(_check(each) for each in seen),
    )


def _exit(ended: Exit | None) -> ExitSignal | None:
    return None if ended is None else ExitSignal(status=ended.status, signal=ended.signal, at=ended.at)


def _check(seen: CheckSeen) -> CheckSignal:
    message = output = None
    at: datetime | None = None
    if seen.last is not None:
        outcome = seen.last.outcome
        at = seen.last.at
        if isinstance(outcome, Failure | ProberError):
            message = outcome.message[:MOST_CHARACTERS]
        if isinstance(outcome, Failure):
            output = outcome.output[:MOST_CHARACTERS] or None
    return CheckSignal(
        check=seen.kind,
        standing=seen.standing,
        failures=seen.failures,
        outcome=None if seen.last is None else _WORDS[type(seen.last.outcome)],
        message=message,
        output=output,
        at=at,
        latency_s=None if seen.last is None else round(seen.last.latency_s, 6),
    )


_WORDS = {Success: "success", Failure: "failure", ProberError: "error"}
