"""From the log to the cache: each event changes the routing of the one deployment it is about."""

import asyncio
from collections.abc import MutableMapping

import structlog

from libs.common.bus.heartbeat import SetAside
from libs.common.cluster.addresses import LOCAL, Addresses
from libs.common.events.envelope import Recorded
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.log.views import follow_views
from libs.common.runtime import Progress
from libs.common.services import ROUTER
from libs.common.set_aside import Aside
from libs.common.state.aggregates import followed_by
from libs.common.state.router import joined, state_of
from libs.common.state.view import DeploymentView, Views
from libs.common.turns import Turns
from services.router.measuring.in_flight import needs_in_flight
from services.router.routing import Routing, make_leaving, make_routing
from services.router.xds.cache import Cache

logger = structlog.get_logger()


class Follower:
    """Keeps the cache and the set of draining deployments as the log says.

    caught_up: set when the cache holds all there is. draining: ids of deployments with a replica that
    waits to be withdrawn; has_draining is set while there are some. measured_in_flight: ids of deployments
    that are scaled by what is in flight.
    """

    def __init__(
        self,
        log: EventLog,
        cache: Cache,
        progress: Progress,
        addresses: Addresses = LOCAL,
        snapshot: Snapshot | None = None,
        *,
        router: str = ROUTER,
    ) -> None:
        """addresses: where replicas can be; what an event says beyond that gets no request. router: the name
        of this one, whose own withdrawals count here."""
        self._snapshot = snapshot
        self._log = log
        self._cache = cache
        self.addresses = addresses
        self.router = router
        self._progress = progress
        self._aside = Aside("route", progress.set_aside)
        self.views = Views(followed_by("router"))
        self.caught_up = asyncio.Event()
        self.draining: set[str] = set()
        self.has_draining = asyncio.Event()
        self.measured_in_flight: set[str] = set()
        self._heard_of_routers = asyncio.Event()
        self._taken: dict[str, DeploymentView] = {}
        """By deployment: what it was when its routing was made last."""

    @property
    def joined(self) -> frozenset[str]:
        """The names of the routers that there are."""
        return joined(self.views.apart)

    def has_joined(self, router: str) -> bool:
        return router in self.joined

    def may_join(self, router: str) -> bool:
        """Whether it has joined, or was never taken out, or is named again since."""
        return state_of(router, self.views.apart).may_join

    async def hears(self, sequence: int) -> None:
        """Return when an event of routers is known here, with all that came before it."""
        while self.views.sequence < sequence:
            await self.hears_of_routers()

    async def hears_of_routers(self) -> None:
        """Return when there may be other routers than when this returned last, and all that the log says of
        them is known. One task at a time may wait."""
        await self._heard_of_routers.wait()
        self._heard_of_routers.clear()

    @property
    def set_aside(self) -> MutableMapping[str, SetAside]:
        """What the router works without, as its heartbeat tells it."""
        return self._progress.set_aside

    async def run(self) -> None:
        """Never returns."""
        await follow_views(
            self._log,
            self.views,
            self._aside,
            on_caught_up=self._on_caught_up,
            on_change=self._on_change,
            on_apart=self._on_apart,
            on_importing=self._progress.hold,
            snapshot=self._snapshot,
        )

    async def _on_caught_up(self, sequence: int) -> None:
        turns = Turns()
        self._taken.clear()
        for view in self.views:
            await turns.give()
            # One that cannot be routed keeps what Envoy has of it.
            with self._aside.attempt(view.deployment_id):
                self._take(view)
        self._progress.applied(sequence)
        self.caught_up.set()
        self._heard_of_routers.set()
        logger.info("caught up", sequence=sequence, deployments=len(self.views.by_id))

    def _on_change(self, view: DeploymentView, event: Recorded) -> None:
        taken = self._taken.get(view.deployment_id)
        if taken is None or not view.says_the_same(taken):
            self._take(view)
        self._progress.applied(event.sequence)

    def _on_apart(self, event: Recorded) -> None:
        self._progress.applied(event.sequence)
        self._heard_of_routers.set()

    def _take(self, view: DeploymentView) -> None:
        name = view.deployment_id
        is_gone = name not in self.views.by_id
        self._cache.put(Routing(name) if is_gone else make_routing(view, self.addresses, self.router))
        if needs_in_flight(view) and not is_gone:
            self.measured_in_flight.add(name)
        else:
            self.measured_in_flight.discard(name)
        if make_leaving(view, router=self.router) and not is_gone:
            self.draining.add(name)
            self.has_draining.set()
        else:
            self.draining.discard(name)
            if not self.draining:
                self.has_draining.clear()
        if is_gone:
            self._taken.pop(name, None)
        else:
            self._taken[name] = view
