"""Watching: what the cluster shows and what the checks conclude become facts, as soon as something changes.

The cluster says which deployments changed, and only those are observed; all of them at the start, when
something may have been missed, and slowly from time to time. So what wants and has nothing costs nothing.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from libs.common.clock import Clock, Ticks
from libs.common.cluster.port import Cluster, ObservedWorkload, known
from libs.common.errors import ClusterUnavailable, LogUnavailable
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from services.health import damping, verdicts
from services.health.examination import Ready, native
from services.health.last_words import LastWordsKeeper
from services.health.probe_runner import ProbeRunner
from services.health.prober import Prober
from services.health.records import Records
from services.health.telling import Publish, Teller
from services.health.verdicts import Conclusions, Started

logger = structlog.get_logger()

RETRY_S = 0.25
"""Between two tries of what could not be done."""
RESYNC_S = 30.0
"""Between two observations of the whole cluster, for what the cluster told of no deployment."""
GATHER_S = 0.001
MOST_GATHERED_S = 0.5
"""So long, for each of its replicas and at most, the changes of a deployment are gathered after some were
recorded: whoever follows the log has work with each record, the more the larger the deployment is."""
FIRST = 32
"""Deployments, those with the newest events, that are observed before all: somebody waits for what changed
while nobody watched, and observing all takes the longer the more there are."""
MOST_PORTIONS = 1_000
"""A deployment of 1,000 replicas takes a hundred; one that never comes to an end must not hold the others."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last decision about a deployment rested on; the same again gives nothing new."""

    workload: ObservedWorkload | None
    conclusions: Conclusions
    started: Started
    held: frozenset[tuple[str, int]]


class Watch:
    """Observes the cluster, has its processes examined, and records what changed."""

    def __init__(
        self,
        cluster: Cluster,
        records: Records,
        prober: Prober,
        *,
        progress: Progress,
        clock: Clock,
        ticks: Ticks,
        publish: Publish | None = None,
        leads: Callable[[], bool] = lambda: True,
        last_words: LastWordsKeeper | None = None,
    ) -> None:
        """publish: where it is told how the checks stand. leads: whether this copy is who watches.
        last_words: None where the cluster keeps them."""
        self._cluster = cluster
        self._leads = leads
        self._records = records
        self._progress = progress
        self._clock = clock
        self._ticks = ticks
        self._aside = Aside("watch", progress.set_aside, clock, ticks)
        self._probe_runner = ProbeRunner(
            prober,
            clock=clock,
            ticks=ticks,
            on_verdict=self.wake_for,
            on_change=self._tell_change,
            aside=Aside("probe", progress.set_aside, clock, ticks),
            cluster=cluster,
        )
        self._teller = publish and Teller(publish, self._probe_runner, clock=clock, ticks=ticks)
        self._last_words = last_words
        self._woken_for: set[str] = set()
        self._wake = asyncio.Event()
        self._gathering: dict[str, float] = {}
        """Deployments whose changes are being gathered, and until when, by the event loop's clock."""
        self._seen: dict[str, Seen] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ready_since: dict[str, dict[tuple[str, int], float]] = {}
        """Of clusters that probe natively, by deployment and process, on our ticks."""
        self._must_load = False
        self._must_observe = True

    def wake_for(self, deployment_id: str) -> None:
        """Observe this deployment at once: a check has concluded something, or something was asked of it."""
        self._seen.pop(deployment_id, None)
        self._woken_for.add(deployment_id)
        self._wake.set()

    def _tell_change(self, deployment_id: str) -> None:
        if self._teller:
            self._teller.changed(deployment_id)

    def read_again(self) -> None:
        """The log was filled: the records that are open are not all that there are any more."""
        self._must_load = True
        self._wake.set()

    def close(self) -> None:
        """Nothing more is observed: `run` was ended."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._aside.clear()
        self._probe_runner.close()

    async def run(self) -> None:
        """Never returns. A cluster or a log that cannot be reached is waited for: hold what is."""
        async with asyncio.TaskGroup() as group:
            if not self._cluster.abilities.probes_natively:
                group.create_task(self._probe_runner.run())
            if self._teller:
                group.create_task(self._teller.run())
            if self._last_words:
                group.create_task(self._last_words.run())
            group.create_task(self._listen())
            group.create_task(self._try_again())
            group.create_task(self._watch())

    async def _listen(self) -> None:
        """Hear from the cluster which deployments changed there."""
        while True:
            try:
                async for changed in self._cluster.watch():
                    self._must_observe = self._must_observe or changed.everything
                    self._woken_for |= changed.deployment_ids
                    self._wake.set()
            except ClusterUnavailable:
                # The next observation finds out what is wrong, and says it.
                self._must_observe = True
                self._wake.set()
                await asyncio.sleep(RETRY_S)

    async def _try_again(self) -> None:
        while True:
            await self._aside.until_due()
            for deployment_id in self._aside.due():
                self.wake_for(deployment_id)
            await asyncio.sleep(RETRY_S)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        resync_at = loop.time()
        while True:
            woken_for = self._take_woken(loop.time())
            may_have_missed = self._must_observe or self._must_load
            is_whole = may_have_missed or loop.time() >= resync_at
            self._must_observe = False
            self._wake.clear()
            try:
                if self._must_load:
                    await self._records.load()
                    self._must_load = False
                if may_have_missed:
                    for deployment_id in self._records.newest(FIRST):
                        await self.observe_one(deployment_id)
                if is_whole:
                    await self.observe()
                    resync_at = loop.time() + RESYNC_S
                else:
                    for deployment_id in woken_for:
                        await self.observe_one(deployment_id)
                self._hold(None)
            except (ClusterUnavailable, LogUnavailable) as error:
                self._hold(error)
                self._must_observe = True
                await asyncio.sleep(RETRY_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min((resync_at, *self._gathering.values()))):
                    await self._wake.wait()

    def _take_woken(self, now: float) -> set[str]:
        """Those to be observed now; the others stay until their changes are gathered."""
        self._gathering = {each: until for each, until in self._gathering.items() if until > now}
        taken = self._woken_for - self._gathering.keys()
        self._woken_for -= taken
        return taken

    async def observe(self) -> None:
        """Decide about every deployment that the cluster shows or that has replicas in the log.

        One that cannot be handled is set aside, and tried again later; all others go on.
        """
        observed = await self._cluster.observe()
        self._probe_runner.dismiss_all_but(observed.keys())
        if self._teller:
            self._teller.show_none_but(observed.keys())
        for deployment_id in [*observed, *(self._records.rosters.keys() - observed.keys())]:
            if not self._aside.is_resting(deployment_id):
                with self._aside.attempt(deployment_id):
                    await self._take_in(deployment_id, observed.get(deployment_id))

    async def observe_one(self, deployment_id: str) -> None:
        """Decide about this one deployment, as `observe` does about each."""
        if not self._aside.is_resting(deployment_id):
            with self._aside.attempt(deployment_id):
                observed = await self._cluster.observe(deployment_id)
                await self._take_in(deployment_id, observed.get(deployment_id))

    async def _take_in(self, deployment_id: str, workload: ObservedWorkload | None) -> None:
        workload = known(workload)
        if self._last_words:
            self._last_words.take(deployment_id, workload)
        if self._teller:
            self._teller.show(deployment_id, workload)
        if deployment_id not in self._records.rosters and not (workload and workload.replicas):
            self._probe_runner.dismiss(deployment_id)
            return
        self._probe_runner.attend_one(deployment_id, workload, self._records.rosters.get(deployment_id))
        await self._settle(deployment_id, workload)

    async def _settle(self, deployment_id: str, workload: ObservedWorkload | None) -> None:
        conclusions = self._conclusions(deployment_id, workload)
        started = self._probe_runner.started(deployment_id)
        held = damping.held(self._records.roster(deployment_id), conclusions, self._clock())
        if self._seen.get(deployment_id) == Seen(workload, conclusions, started, frozenset(held)):
            return
        self._seen.pop(deployment_id, None)
        replicas = workload.replicas if workload else ()
        traceparents = {o.replica_id: o.traceparent for o in replicas if o.traceparent}
        if workload is not None:
            await self._records.open(workload.project_id, deployment_id)
        for _ in range(MOST_PORTIONS):
            if not self._leads():
                # Another copy has gone on meanwhile, and what this one has seen is old.
                return
            facts = verdicts.decide(
                self._records.rosters[deployment_id],
                replicas,
                conclusions,
                leaving=self._records.leaving(deployment_id),
                started=started,
                now=self._clock(),
            )
            if not facts:
                break
            if await self._cluster.confirm(deployment_id, {fact.replica_id for fact in facts}, workload):
                self.wake_for(deployment_id)
                return
            await self._records.append(deployment_id, facts, traceparents)
            gather_s = min(MOST_GATHERED_S, GATHER_S * len(replicas))
            self._gathering[deployment_id] = asyncio.get_running_loop().time() + gather_s
        else:
            raise RuntimeError(f"there is always something new after {MOST_PORTIONS} appends")
        if workload is not None:
            held = damping.held(self._records.roster(deployment_id), conclusions, self._clock())
            self._seen[deployment_id] = Seen(workload, conclusions, started, frozenset(held))
            self._observe_again(deployment_id, held.values())
        else:
            self._records.close(deployment_id)
            self._observe_again(deployment_id, ())

    def _observe_again(self, deployment_id: str, waits_s: Collection[float]) -> None:
        """Observe after the shortest of these: a replica has stayed ready for as long as it had to then."""
        if (timer := self._timers.pop(deployment_id, None)) is not None:
            timer.cancel()
        if waits_s:
            loop = asyncio.get_running_loop()
            self._timers[deployment_id] = loop.call_later(min(waits_s), self.wake_for, deployment_id)

    def _conclusions(self, deployment_id: str, workload: ObservedWorkload | None) -> Conclusions:
        if not self._cluster.abilities.probes_natively:
            return self._probe_runner.conclusions(deployment_id)
        replicas = workload.replicas if workload else ()
        return self._lasting(deployment_id, {(o.replica_id, o.attempt): native(o) for o in replicas})

    def _lasting(self, deployment_id: str, conclusions: Conclusions) -> Conclusions:
        """The cluster's own verdicts, with how long those that a process is ready have lasted."""
        now, before = self._ticks(), self._ready_since.pop(deployment_id, {})
        since = {
            process: before.get(process, now)
            for process, conclusion in conclusions.items()
            if isinstance(conclusion, Ready)
        }
        if since:
            self._ready_since[deployment_id] = since
        return {
            process: replace(conclusion, lasted_s=now - since[process])
            if isinstance(conclusion, Ready)
            else conclusion
            for process, conclusion in conclusions.items()
        }

    def _hold(self, error: Exception | None) -> None:
        """Log and report that we cannot see or write, and that we can again; once each."""
        if error is not None and self._progress.is_ready:
            logger.warning("holding the present state", error=str(error), error_type=type(error).__name__)
        elif error is None and not self._progress.is_ready:
            logger.info("watching the cluster")
        self._progress.is_ready = error is None
        self._progress.problem = f"holding the present state: {error}" if error is not None else ""
