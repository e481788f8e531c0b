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
from libs.common.events.deployment import DeploymentCreated, DeploymentDeleted, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded, select
from libs.common.events.fact import Fact
from libs.common.events.replica import (
    ProbeKind,
    Replica,
    ReplicaBecameReady,
    ReplicaCondemned,
    ReplicaFact,
    ReplicaReason,
    ReplicaRestarted,
    ReplicaStarted,
    ReplicaState,
    ReplicaStopped,
)
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Appended, EventLog, Guard, Heads, Loaded
from libs.common.spec.model import Spec
from libs.common.spec.template import make_template, run_id
from libs.common.state.world import DeploymentWorld, fold
from services.reconciler.converge import Reconciler, Wake
from tests.unit.reconciler.scene import DEPLOYMENT, PROJECT, START, spec

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
                return await self.reconciler.on_event(Wake.by(event))
            except Temporary:
                await self.pace.step("redelivery")

    def hold(self) -> None:
        self.pace.is_free = False

    async def hold_at(self, name: str) -> None:
        """Go on, one step at a time, until it waits at the port call `name`."""
        self.hold()
        for _ in range(100):
            await breathe()
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


async def breathe() -> None:
    """Until every task waits for us again: no call below a pace yields more often than this."""
    for _ in range(10):
        await asyncio.sleep(0)


class WatchedCluster(MemoryCluster):
    """Fails the test when it is told what the promises forbid."""

    log: MemoryLog

    async def apply(self, workload: Workload, *, fence: int) -> None:
        world = fold((await self.log.load(select(aggregate_id=workload.deployment_id))).events)
        assert world is not None
        assert workload.stopping <= workload.retiring <= world.rollout.retiring
        assert workload.stopping <= world.traffic.withdrawn, "stopped before it was withdrawn"
        await super().apply(workload, fence=fence)


class Stage:
    def __init__(self) -> None:
        self.now = START
        self.log = MemoryLog(lambda: self.now)
        self.cluster = WatchedCluster(lambda: self.now)
        self.cluster.log = self.log
        self.processes = [self.new_process()]
        self.specs = 0

    def new_process(self, *, is_held: bool = False) -> Process:
        pace = Pace(is_free=not is_held)
        return Process(Reconciler(PacedLog(self.log, pace), PacedCluster(self.cluster, pace)), pace)

    async def events(self) -> list[Recorded]:
        return [event async for event in self.log.read(select())]

    async def world(self) -> DeploymentWorld | None:
        return fold((await self.log.load(select(aggregate_id=DEPLOYMENT))).events)

    async def observed(self) -> tuple[ObservedReplica, ...]:
        workload = (await self.cluster.observe()).get(DEPLOYMENT)
        return workload.replicas if workload else ()

    async def say(self, *facts: Fact, traceparent: str | None = None) -> None:
        aggregate = Aggregate(PROJECT, facts[0].aggregate, DEPLOYMENT)
        heads = (await self.log.load(aggregate.filter)).heads
        self.specs += 1
        self.now += timedelta(milliseconds=1)
        cause = Cause("test", correlation_id=f"request-{self.specs}", traceparent=traceparent)
        await self.log.append([Draft(aggregate, fact) for fact in facts], heads=heads, cause=cause)

    async def register(self, wanted: Spec, *, traceparent: str | None = None) -> None:
        world = await self.world()
        if world and world.deployment and world.deployment.is_deleted:
            return
        created = [DeploymentCreated(name=wanted.name)] if world is None else []
        registered = SpecRegistered(
            spec_id=f"s{self.specs}", run_id=run_id(make_template(wanted)), spec=wanted
        )
        await self.say(*created, registered, traceparent=traceparent)

    async def delete(self) -> None:
        world = await self.world()
        if world and world.deployment and not world.deployment.is_deleted:
            await self.say(DeploymentDeleted(name="demo"))

    async def health(self) -> bool:
        """One look of health at the cluster: the first difference to the roster becomes a fact."""
        world = await self.world()
        if world is None:
            return False
        roster = {replica.replica_id: replica for replica in world.roster.replicas}
        seen = {replica.replica_id: replica for replica in await self.observed()}
        for id_, line in roster.items():
            fact = _difference(line, seen.get(id_), roster)
            if fact:
                await self.say(fact)
                return True
        for id_, replica in seen.items():
            if id_ not in roster:
                line = Replica(
                    replica_id=id_,
                    run_id=replica.run_id,
                    spec_id=replica.spec_id,
                    state=ReplicaState.STARTING,
                    address=replica.address,
                    attempt=replica.attempt,
                    created_at=replica.created_at,
                )
                await self.say(ReplicaStarted(replica_id=id_, roster=(*roster.values(), line)))
                return True
        return False

    async def condemn(self, number: int) -> None:
        world = await self.world()
        ready = world.roster.ready() if world else ()
        if world and ready:
            line = ready[number % len(ready)]
            sentenced = line.model_copy(
                update={"state": ReplicaState.UNREADY, "condemned_attempt": line.attempt}
            )
            roster = tuple(sentenced if r == line else r for r in world.roster.replicas)
            await self.say(
                ReplicaCondemned(
                    replica_id=line.replica_id,
                    roster=roster,
                    probe=ProbeKind.LIVENESS,
                    reason=ReplicaReason.PROBE_FAILED,
                    message="status 500",
                )
            )

    async def router(self) -> bool:
        """The router has drained all that are to leave."""
        world = await self.world()
        if world is None or world.rollout.retiring <= world.traffic.withdrawn:
            return False
        await self.say(
            EndpointsWithdrawn(replica_ids=tuple(sorted(world.rollout.retiring)), reason=WithdrawReason.IDLE)
        )
        return True

    async def crash(self, number: int) -> None:
        running = await self.in_phase(ReplicaPhase.RUNNING)
        if running:
            self.cluster.exit(running[number % len(running)].replica_id, status=1)

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
        await breathe()

    async def settle(self) -> None:
        """Everybody goes on until nothing moves; then what the resync would do; until that moves nothing."""
        for process in self.processes:
            await process.finish()
        alive = self.processes[-1]
        delivered = 0
        for _ in range(200):
            await self.start_all()
            await self.end_all()
            has_moved = await self.health() or await self.router()
            events = await self.events()
            has_moved = has_moved or len(events) > delivered
            for event in events[delivered:]:
                alive.wake(event)
            delivered = len(events)
            await alive.finish()
            if not has_moved:
                await alive.reconciler.look(DEPLOYMENT)
                if len(await self.events()) == delivered and not await self.health():
                    return
        raise AssertionError("it never came to rest")


def _difference(
    line: Replica, replica: ObservedReplica | None, roster: Mapping[str, Replica]
) -> ReplicaFact | None:
    def with_line(**changes: Any) -> tuple[Replica, ...]:
        changed = line.model_copy(update=changes)
        return tuple(changed if r.replica_id == line.replica_id else r for r in roster.values())

    id_ = line.replica_id
    if replica is None:
        rest = tuple(r for r in roster.values() if r.replica_id != id_)
        return ReplicaStopped(replica_id=id_, roster=rest, reason=ReplicaReason.STOPPED, message="ended")
    if replica.attempt > line.attempt:
        return ReplicaRestarted(
            replica_id=id_,
            roster=with_line(state=ReplicaState.STARTING, attempt=replica.attempt, condemned_attempt=None),
            reason=ReplicaReason.EXITED,
            message="started again",
        )
    if replica.phase is ReplicaPhase.EXITED and line.state is not ReplicaState.FAILED:
        return ReplicaStopped(
            replica_id=id_,
            roster=with_line(state=ReplicaState.FAILED),
            reason=ReplicaReason.EXITED,
            message="exited",
        )
    is_fit = replica.template.image != NEVER_READY_IMAGE and replica.phase is ReplicaPhase.RUNNING
    if line.state is ReplicaState.STARTING and is_fit:
        return ReplicaBecameReady(
            replica_id=id_,
            roster=with_line(state=ReplicaState.RUNNING, ready_at=line.ready_at or START),
            reason=ReplicaReason.PROBE_SUCCEEDED,
        )
    return None
