"""The router's clockwork: withdraws drained replicas, and says how the Envoys are."""

import asyncio
from collections import defaultdict
from typing import Final

import structlog

from libs.common.clock import Ticks, to_rfc3339
from libs.common.errors import LogUnavailable
from libs.common.events.traffic import WithdrawReason
from libs.common.log.port import EventLog
from libs.common.runtime import Progress
from libs.common.set_aside import Aside
from libs.common.state.view import DeploymentView
from services.router.draining import PATIENCE_S, Drain, Situation, decide, observe
from services.router.envoy_admin import EnvoyAdmin
from services.router.follower import Follower
from services.router.routing import Leaving, make_leaving
from services.router.withdrawal import withdraw
from services.router.xds.cache import Cache
from services.router.xds.server import DiscoveryServer

logger = structlog.get_logger()

DRAIN_INTERVAL_S: Final = 0.1
STATUS_INTERVAL_S: Final = 1.0
SETTLE_S: Final = 3.0
"""After a stream has ended, or at the start, an Envoy may be serving by what it had and not be connected; it
tries again at least once a second (`infra/envoy/bootstrap.json`). Meanwhile it counts as one that has not
acknowledged."""

_Key = tuple[str, str]


class DrainLoop:
    """Looks at all Envoys every 100 ms while something drains; sleeps while nothing does.

    ticks: a clock that nobody can set, so that a step of the time of day neither cuts a request short nor
    keeps a replica. What it has counted is not stored: a router that starts again gives each drain its whole
    deadline once more, which costs time but no request.
    """

    def __init__(
        self,
        log: EventLog,
        follower: Follower,
        cache: Cache,
        server: DiscoveryServer,
        admin: EnvoyAdmin,
        *,
        ticks: Ticks,
        deadline_s: float,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._log = log
        self._follower = follower
        self._cache = cache
        self._server = server
        self._admin = admin
        self._ticks = ticks
        self._deadline_s = deadline_s
        self._settle_s = settle_s
        self._drains: dict[_Key, Drain] = {}
        self._aside = Aside("drain", follower.set_aside)

    async def run(self) -> None:
        """Never returns."""
        while True:
            for gone in self._aside.subjects - self._follower.draining:
                self._aside.succeeded(gone)
            await self._follower.has_draining.wait()
            try:
                await self.tick()
            except LogUnavailable as error:
                logger.warning("withdrawal has to wait", error=str(error))
            await asyncio.sleep(DRAIN_INTERVAL_S)

    async def tick(self) -> None:
        """One look at all that drains, and the withdrawals that follow from it."""
        connected = self._cache.sessions
        sessions = [session for session in connected if session.may_serve]
        unsettled = (False,) if self._ticks() - self._server.unsettled_at < self._settle_s else ()
        # One that has no listener sends nobody anything, such as where a replica has taken the port.
        idle = (True,) if connected and not sessions else ()
        draining = sorted(self._follower.draining)
        # Acknowledgements are read before the counts: a count from before an acknowledgement says nothing.
        acknowledged = {
            name: (*(session.has_acknowledged(name) for session in sessions), *unsettled, *idle)
            for name in draining
        }
        active = await self._admin.active_requests(draining) if sessions else None
        now = self._ticks()
        views = [w for w in (self._follower.views.by_id.get(name) for name in draining) if w]
        drains: dict[_Key, Drain] = {}
        for view in views:
            name = view.deployment_id
            if self._aside.is_resting(name):
                drains |= {key: drain for key, drain in self._drains.items() if key[0] == name}
                continue
            with self._aside.attempt(name):
                situation = Situation(acknowledged[name], None if active is None else active.get(name, {}))
                all_leaving = make_leaving(view, self._follower.addresses, self._follower.router)
                for leaving in all_leaving:
                    key = (name, leaving.replica_id)
                    drains[key] = observe(self._drains.get(key, Drain()), leaving, situation, now)
                    self._drains[key] = drains[key]
                await self._withdraw(view, all_leaving, now)
        self._drains = drains

    def progress(self, deployment_id: str, replica_id: str) -> Drain:
        """How far a leaving replica was at the last situation."""
        return self._drains.get((deployment_id, replica_id), Drain())

    async def _withdraw(self, view: DeploymentView, leaving: tuple[Leaving, ...], now: float) -> None:
        ready: defaultdict[WithdrawReason, list[str]] = defaultdict(list)
        cut = 0
        for one in leaving:
            drain = self.progress(view.deployment_id, one.replica_id)
            reason = decide(drain, now=now, deadline_s=self._deadline_s)
            if reason is not None:
                ready[reason].append(one.replica_id)
                cut += drain.active_requests
        if not ready:
            return
        reason = WithdrawReason.DEADLINE if WithdrawReason.DEADLINE in ready else WithdrawReason.IDLE
        replica_ids = [replica_id for some in ready.values() for replica_id in some]
        await withdraw(
            self._log, view, replica_ids, reason, active_requests=cut, router=self._follower.router
        )


class StatusLoop:
    """Keeps what the heartbeat tells: whether Envoys are connected and take in what they are told."""

    def __init__(self, cache: Cache, progress: Progress, *, ticks: Ticks) -> None:
        self._cache = cache
        self._progress = progress
        self._ticks = ticks

    async def run(self) -> None:
        """Never returns."""
        while True:
            self.tick()
            for session in self._cache.sessions:
                session.offer_listener_again()
            await asyncio.sleep(STATUS_INTERVAL_S)

    def tick(self) -> None:
        """`envoy_acknowledged`: an Envoy serves the listener, and none owes an answer for too long.
        `envoy_problem`: why none serves, as far as that is known; empty while one does.
        """
        now = self._ticks()
        sessions = self._cache.sessions
        waiting = [since for since in (s.pending_since() for s in sessions) if since is not None]
        times = [s.acknowledged_at for s in sessions if s.acknowledged_at]
        detail = self._progress.detail
        detail["envoys"] = len(sessions)
        detail["envoy_acknowledged"] = any(s.is_serving for s in sessions) and all(
            now - since <= PATIENCE_S for since in waiting
        )
        refusals = {s.listener_refusal for s in sessions if s.listener_refusal}
        detail["envoy_problem"] = "; ".join(sorted(refusals)) if sessions else "no Envoy is connected"
        if times:
            detail["envoy_acknowledged_at"] = to_rfc3339(max(times))
