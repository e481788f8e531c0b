"""The router's clockwork: withdraws drained replicas, and says how the Envoys are."""

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

import structlog

from libs.common.clock import Clock, to_rfc3339
from libs.common.errors import LogUnavailable
from libs.common.events.traffic import WithdrawReason
from libs.common.log.port import EventLog
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.world import DeploymentWorld
from services.router.draining import Drain, EnvoyReading, decide, observe
from services.router.envoy_admin import ActiveRequests, EnvoyAdmin
from services.router.follower import Follower
from services.router.routing import Leaving, make_leaving
from services.router.withdrawal import withdraw
from services.router.xds.cache import Cache
from services.router.xds.server import DiscoveryServer
from services.router.xds.session import Session

logger = structlog.get_logger()

DRAIN_INTERVAL_S: Final = 0.1
STATUS_INTERVAL_S: Final = 1.0
SETTLE: Final = timedelta(seconds=3)
"""After a stream has ended, or at the start, an Envoy may be serving by what it had and not be connected; it
tries again at least once a second (`infra/envoy/bootstrap.json`). Nothing is withdrawn meanwhile."""
STUCK: Final = timedelta(seconds=15)
"""An Envoy that leaves a response without an answer for so long does not take part any more."""

_Key = tuple[str, str]


class DrainLoop:
    """Looks at all Envoys every 100 ms while something drains; sleeps while nothing does."""

    def __init__(
        self,
        log: EventLog,
        follower: Follower,
        cache: Cache,
        server: DiscoveryServer,
        admin: EnvoyAdmin,
        *,
        clock: Clock,
        deadline: timedelta,
        settle: timedelta = SETTLE,
    ) -> None:
        self._log = log
        self._follower = follower
        self._cache = cache
        self._server = server
        self._admin = admin
        self._clock = clock
        self._deadline = deadline
        self._settle = settle
        self._drains: dict[_Key, Drain] = {}
        self._aside = Aside("drain", follower.set_aside)

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._follower.has_draining.wait()
            try:
                await self.tick()
            except LogUnavailable as error:
                logger.warning("withdrawal has to wait", error=str(error))
            await asyncio.sleep(DRAIN_INTERVAL_S)

    async def tick(self) -> None:
        """One look at all that drains, and the withdrawals that follow from it."""
        sessions = self._cache.sessions
        if self._clock() - self._server.unsettled_at < self._settle:
            sessions = ()
        draining = sorted(self._follower.draining)
        # Acknowledgements are read before the counts: a count from before an acknowledgement says nothing.
        acknowledged = {name: [s.has_acknowledged(name) for s in sessions] for name in draining}
        active = await asyncio.gather(*(self._read(session, draining) for session in sessions))
        now = self._clock()
        worlds = [w for w in (self._follower.worlds.by_id.get(name) for name in draining) if w]
        drains: dict[_Key, Drain] = {}
        for world in worlds:
            name = world.deployment_id
            if self._aside.is_resting(name):
                drains |= {key: drain for key, drain in self._drains.items() if key[0] == name}
                continue
            with self._aside.attempt(name):
                readings = [
                    EnvoyReading(has, None if counts is None else counts.get(name, {}))
                    for has, counts in zip(acknowledged[name], active, strict=True)
                ]
                all_leaving = make_leaving(world)
                for leaving in all_leaving:
                    key = (name, leaving.replica_id)
                    drains[key] = observe(self._drains.get(key, Drain()), leaving, readings, now)
                    self._drains[key] = drains[key]
                await self._withdraw(world, all_leaving, now)
        self._drains = drains

    def progress(self, deployment_id: str, replica_id: str) -> Drain:
        """How far a leaving replica was at the last look."""
        return self._drains.get((deployment_id, replica_id), Drain())

    async def _read(self, session: Session, draining: list[str]) -> ActiveRequests | None:
        if session.admin_address is None:
            return None
        return await self._admin.active_requests(session.admin_address, draining)

    async def _withdraw(self, world: DeploymentWorld, leaving: tuple[Leaving, ...], now: datetime) -> None:
        ready: defaultdict[WithdrawReason, list[str]] = defaultdict(list)
        cut = 0
        for one in leaving:
            drain = self.progress(world.deployment_id, one.replica_id)
            reason = decide(drain, now=now, deadline=self._deadline)
            if reason is not None:
                ready[reason].append(one.replica_id)
                cut += drain.active_requests
        if not ready:
            return
        reason = WithdrawReason.DEADLINE if WithdrawReason.DEADLINE in ready else WithdrawReason.IDLE
        replica_ids = [replica_id for some in ready.values() for replica_id in some]
        await withdraw(self._log, world, replica_ids, reason, active_requests=cut)


class StatusLoop:
    """Keeps what the heartbeat tells: whether Envoys are connected and take in what they are told."""

    def __init__(self, cache: Cache, progress: Progress, *, clock: Clock) -> None:
        self._cache = cache
        self._progress = progress
        self._clock = clock

    async def run(self) -> None:
        """Never returns."""
        while True:
            self.tick()
            await asyncio.sleep(STATUS_INTERVAL_S)

    def tick(self) -> None:
        """`envoy_acknowledged`: an Envoy serves the listener, and none owes an answer for too long."""
        now = self._clock()
        sessions = self._cache.sessions
        waiting = [since for since in (s.pending_since() for s in sessions) if since]
        times = [s.acknowledged_at for s in sessions if s.acknowledged_at]
        detail = self._progress.detail
        detail["envoys"] = len(sessions)
        detail["envoy_acknowledged"] = any(s.is_serving for s in sessions) and all(
            now - since <= STUCK for since in waiting
        )
        if times:
            detail["envoy_acknowledged_at"] = to_rfc3339(max(times))
