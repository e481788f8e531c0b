"""The whole play around the reconciler, with every part moved by hand, one step at a time.

Real: the reconciler, the log. Played: health and the router, as far as the reconciler sees them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import Cluster, ObservedReplica, ObservedWorkload, ReplicaPhase, Workload
from libs.common.errors import Temporary
from libs.common.events.envelope import Cause, Draft, Recorded, select
from libs.common.events.rollout import MoveReason, ReplicasRetiring
from libs.common.events.router import LeaveReason, RouterFact, RouterJoined, RouterLeft
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Appended, EventLog, Guard, Heads, Loaded
from libs.common.services import ROUTER
from libs.common.spec.model import Spec
from libs.common.state.router import ALONE, EVERY_ROUTER, aggregate_of, joined_by
from libs.common.state.view import fold
from services.reconciler.converge import Reconciler, Trigger
from tests.support.players import Players
from tests.support.polling import let_others_run
from tests.unit.reconciler.scene import DEPLOYMENT, spec

NEVER_READY_IMAGE = "c"
REFUSED_IMAGE = "x"


def spec_of(image: str, replicas: int) -> Spec:
    """As `scene.spec`; without the command that the cluster needs if it is the refused image."""
    wanted = spec(image, replicas)
    return wanted.model_copy(update={"command": None}) if image == REFUSED_IMAGE else wanted


@dataclass(eq=False)
class Turn:
    """A process waits here: before or after the port call `name`."""

    name: str
    go: asyncio.Future[None]


class Pace:
    """Makes a process wait at each port call, until the test lets it go or kills it."""

    def __init__(self, *, is_free: bool) -> None:
        self.waiting: list[Turn] = []
        self.is_free = is_free

    async def step(self, name: str) -> None:
        if self.is_free:
            return
        turn = Turn(name, asyncio.get_running_loop().create_future())
        self.waiting.append(turn)
        try:
            await turn.go
        finally:
            self.waiting.remove(turn)

    def free(self) -> None:
        self.is_free = True
        for turn in self.waiting:
            turn.go.set_result(None)


class PacedLog:
    """What it reads may be old when it goes on; what it appends may be stored when it dies."""

    def __init__(self, log: EventLog, pace: Pace) -> None:
        self._log = log
        self._pace = pace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def load(self, *filters: str) -> Loaded:
        loaded = await self._log.load(*filters)
        await self._pace.step("loaded")
        return loaded

    async def append(
        self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause, guards: Sequence[Guard] = ()
    ) -> Appended:
        await self._pace.step("append")
        appended = await self._log.append(drafts, heads=heads, cause=cause, guards=guards)
        await self._pace.step("appended")
        return appended


class PacedCluster:
    """The same for the cluster."""

    def __init__(self, cluster: Cluster, pace: Pace) -> None:
        self._cluster = cluster
        self._pace = pace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        observed = await self._cluster.observe(deployment_id)
        await self._pace.step("observed")
        return observed

    async def apply(self, workload: Workload, *, fence: int) -> None:
        await self._pace.step("apply")
        await self._cluster.apply(workload, fence=fence)
        await self._pace.step("applied")

    async def restart(self, deployment_id: str, replica_id: str, *, attempt: int) -> None:
        await self._pace.step("restart")
        await self._cluster.restart(deployment_id, replica_id, attempt=attempt)

    async def remove(self, deployment_id: str, *, fence: int) -> None:
        await self._pace.step("remove")
        await self._cluster.remove(deployment_id, fence=fence)
        await self._pace.step("removed")


@dataclass
class Process:
    """One reconciler process: its memory is its own, the log and the cluster are everybody's.

    It runs freely until it is `held`; then it takes one step at a time.
    """

    reconciler: Reconciler
    pace: Pace
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def wake(self, event: Recorded) -> None:
        """Delivers an event, again and again until it is handled."""
        self.tasks.append(asyncio.ensure_future(self._handle(event)))

    async def _handle(self, event: Recorded) -> None:
        while True:
            try:
                return await self.reconciler.on_event(Trigger.by(event))
            except Temporary:
                await self.pace.step("redelivery")

    def hold(self) -> None:
        self.pace.is_free = False

    async def hold_at(self, name: str) -> None:
        """Go on, one step at a time, until it waits at the port call `name`."""
        self.hold()
        for _ in range(100):
            await let_others_run()
            if any(turn.name == name for turn in self.pace.waiting):
                return
            for turn in tuple(self.pace.waiting):
                turn.go.set_result(None)
        raise AssertionError(f"it never came to {name}")

    async def finish(self) -> None:
        """Let it go until all that it was woken for is done."""
        self.pace.free()
        await asyncio.gather(*self.tasks)
        self.tasks.clear()

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()


class WatchedCluster(MemoryCluster):
    """Fails the test when it is told what the promises forbid."""

    log: MemoryLog

    async def apply(self, workload: Workload, *, fence: int) -> None:
        events = [event async for event in self.log.read(select(aggregate_id=workload.deployment_id))]
        view = fold(events)
        assert view is not None
        assert workload.stopping <= workload.retiring <= view.rollout.retiring
        for router, joined_at in (await self.joined_at()).items():
            may_call = {one for one in workload.stopping if joined_at < told_to_leave_at(events, one)}
            assert may_call <= view.traffic.withdrawn_by(router), "stopped before it was withdrawn"
        await super().apply(workload, fence=fence)

    async def joined_at(self) -> dict[str, int]:
        """Where each router that there is has joined. One that joins when a replica has been told to leave
        never sends it anything."""
        found = {ROUTER: 0}
        async for event in self.log.read(EVERY_ROUTER):
            match event.fact:
                case RouterJoined():
                    found[event.aggregate.id] = event.sequence
                case RouterLeft():
                    found.pop(event.aggregate.id)
        return found


def told_to_leave_at(events: Sequence[Recorded], replica_id: str) -> int:
    told = (
        event.sequence
        for event in events
        if isinstance(event.fact, ReplicasRetiring) and replica_id in event.fact.replica_ids
    )
    return next(told)


class Stage(Players):
    """The players, the reconciler processes, and a hand on the cluster."""

    cluster: WatchedCluster

    def __init__(self) -> None:
        log = MemoryLog(lambda: self.now)
        cluster = WatchedCluster(lambda: self.now)
        cluster.log = log
        super().__init__(
            log, cluster, DEPLOYMENT, is_fit=lambda replica: replica.template.image != NEVER_READY_IMAGE
        )
        self.processes = [self.new_process()]

    async def events(self) -> list[Recorded]:
        """Those that wake the reconciler: what is said of routers is not among them."""
        return [event async for event in self.log.read(select(aggregate_id=DEPLOYMENT))]

    async def newest(self) -> Recorded:
        return (await self.events())[-1]

    async def run(self, image: str, replicas: int) -> None:
        """Until it is served and nothing moves."""
        await self.register(spec(image, replicas))
        await self.settle()

    async def routers(self) -> frozenset[str]:
        return joined_by((await self.log.load(EVERY_ROUTER)).events)

    async def join(self, router: str) -> None:
        if router not in await self.routers():
            await self._say_of_router(router, RouterJoined())

    async def leave(self, router: str) -> None:
        if router in await self.routers() - ALONE:
            await self._say_of_router(router, RouterLeft(reason=LeaveReason.TAKEN_OUT))

    async def _say_of_router(self, router: str, fact: RouterFact) -> None:
        aggregate = aggregate_of(router)
        heads = (await self.log.load(aggregate.filter)).heads
        await self.log.append([Draft(aggregate, fact)], heads=heads, cause=Cause("test", router))

    async def any_router(self) -> bool:
        """One of them, of those that have not said yet that all are drained."""
        for router in sorted(await self.routers()):
            if await self.router(router):
                return True
        return False

    def new_process(self, *, is_held: bool = False) -> Process:
        pace = Pace(is_free=not is_held)
        return Process(
            Reconciler(PacedLog(self.log, pace), PacedCluster(self.cluster, pace), clock=lambda: self.now),
            pace,
        )

    async def crash(self, number: int) -> None:
        running = await self.in_phase(ReplicaPhase.RUNNING)
        if running:
            self.cluster.exit(running[number % len(running)].replica_id, status=1)

    async def sicken(self, number: int) -> None:
        """The readiness check of one that runs fails; it goes on running."""
        running = await self.in_phase(ReplicaPhase.RUNNING)
        if running:
            self.sick.add(running[number % len(running)].replica_id)

    async def lose(self, number: int) -> None:
        """One that runs is gone, and nobody has told it to."""
        running = await self.in_phase(ReplicaPhase.RUNNING)
        if running:
            self.cluster.end(running[number % len(running)].replica_id)

    async def mark(self, number: int, reason: MoveReason | None) -> None:
        """Something is the matter with the node of one of the replicas."""
        shown = await self.observed()
        if shown:
            self.cluster.mark(shown[number % len(shown)].replica_id, reason)

    async def in_phase(self, *phases: ReplicaPhase) -> list[ObservedReplica]:
        return [replica for replica in await self.observed() if replica.phase in phases]

    async def start_all(self) -> None:
        for replica in await self.in_phase(ReplicaPhase.PENDING, ReplicaPhase.EXITED):
            self.cluster.start(replica.replica_id)

    async def end_all(self) -> None:
        for replica in await self.in_phase(ReplicaPhase.STOPPING):
            self.cluster.end(replica.replica_id)

    async def health_goes_on(self) -> None:
        await self.start_all()
        while await self.health():
            pass

    async def let_go(self, number: int) -> None:
        """One of the processes that wait takes its next step."""
        waiting = [turn for process in self.processes for turn in process.pace.waiting]
        if waiting:
            waiting[number % len(waiting)].go.set_result(None)
        await let_others_run()

    async def settle(self) -> None:
        """Everybody goes on until nothing moves; then what the resync would do; until that moves nothing.

        Whoever was sick is well, and time passes only where health waits for it."""
        self.sick.clear()
        for process in self.processes:
            await process.finish()
        alive = self.processes[-1]
        delivered = 0
        for _ in range(200):
            has_moved = await self.health()
            await self.start_all()
            await self.end_all()
            has_moved = has_moved or await self.any_router()
            events = await self.events()
            has_moved = has_moved or len(events) > delivered
            for event in events[delivered:]:
                alive.wake(event)
            delivered = len(events)
            await alive.finish()
            if not has_moved and (wait_s := await self.unsaid_for_s()) > 0:
                self.now += timedelta(seconds=wait_s)
                continue
            if not has_moved:
                await alive.reconciler.resync(DEPLOYMENT)
                if len(await self.events()) == delivered and not await self.health():
                    return
        raise AssertionError("it never came to rest")
