"""One pass over a deployment: load, observe, plan, perform, append, until somebody else has to move."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, Self
from weakref import WeakValueDictionary

import structlog

from libs.common import telemetry
from libs.common.clock import Clock, utc_now
from libs.common.cluster.port import Cluster, ObservedWorkload, known
from libs.common.errors import (
    AppendConflict,
    CannotApply,
    DeploymentUnavailable,
    Fenced,
    LogUnavailable,
    Temporary,
)
from libs.common.events.envelope import Aggregate, Cause, Draft, Position, Recorded, select
from libs.common.events.replica import RosterFact
from libs.common.events.rollout import (
    RolloutFact,
    RolloutPhase,
    SpecFailed,
    SpecFailedReason,
)
from libs.common.events.text import bounded, without_ids
from libs.common.log.port import EventLog, Guard, Head, Loaded
from libs.common.machine_types.catalogue import MachineTypes
from libs.common.state.router import EVERY_ROUTER, joined_by
from libs.common.state.view import DeploymentView, LastEvent, fold
from services.reconciler.apply import perform
from services.reconciler.moving import MOVE_S
from services.reconciler.plan import Because, Plan, plan
from services.reconciler.situation import NO_MACHINE_TYPES
from services.reconciler.stalling import ROLLOUT_S

logger = structlog.get_logger()

MAX_STEPS: Final = 20
"""A pass takes two or three; one that is overtaken again and again gives way and is tried again later."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """The event that was the reason to reconcile; it becomes the cause of what is appended."""

    deployment_id: str
    sequence: int
    event_id: str
    correlation_id: str
    traceparent: str | None = None

    @classmethod
    def by(cls, event: Recorded) -> Self:
        return cls(
            event.aggregate.id,
            event.sequence,
            event.event_id,
            event.cause.correlation_id,
            event.cause.traceparent,
        )

    @classmethod
    def of(cls, view: DeploymentView, last: LastEvent) -> Self:
        """By the newest event of a view."""
        return cls(view.deployment_id, view.sequence, last.event_id, last.correlation_id, last.traceparent)


class Reconciler:
    """Brings one deployment at a time to what the log says. Triggers may come twice, late, or all at once."""

    def __init__(
        self,
        log: EventLog,
        cluster: Cluster,
        *,
        clock: Clock = utc_now,
        move_s: float = MOVE_S,
        rollout_s: float = ROLLOUT_S,
        machine_types: MachineTypes = NO_MACHINE_TYPES,
    ) -> None:
        self._log = log
        self._cluster = cluster
        self._clock = clock
        self._move_s = move_s
        self._rollout_s = rollout_s
        self._machine_types = machine_types
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._seen: dict[str, int] = {}
        """By deployment: the newest event that a completed pass has loaded."""

    def plan(self, view: DeploymentView, observed: ObservedWorkload | None, routers: frozenset[str]) -> Plan:
        """The next step as of now. routers: those that have joined."""
        return plan(
            view,
            observed,
            now=self._clock(),
            move_s=self._move_s,
            rollout_s=self._rollout_s,
            machine_types=self._machine_types,
            routers=routers,
        )

    async def on_event(self, trigger: Trigger) -> None:
        """Converge, unless a completed pass has taken this event in already.

        Raises Temporary when it has to be tried again.
        """
        async with self._lock(trigger.deployment_id):
            if self._seen.get(trigger.deployment_id, 0) < trigger.sequence:
                await self._pass(trigger)

    def saw(self, view: DeploymentView) -> None:
        """There was nothing to do about all of a view."""
        self._seen[view.deployment_id] = max(view.sequence, self._seen.get(view.deployment_id, 0))

    def has_taken_in(self, event: Recorded) -> bool:
        """Whether nothing is left to do because of an event."""
        return self._seen.get(event.aggregate.id, 0) >= event.sequence

    def has_handled(self, view: DeploymentView) -> bool:
        """Whether a pass has taken in all of a view, or nothing is to be done about it any more."""
        return view.rollout.is_removed or self._seen.get(view.deployment_id, 0) >= view.sequence

    def forget(self, deployment_id: str) -> None:
        """It was removed, maybe by another copy."""
        self._seen.pop(deployment_id, None)

    async def resync(self, deployment_id: str) -> bool:
        """Converge without an event that says so; False if the log has never heard of the deployment.

        Raises Temporary.
        """
        async with self._lock(deployment_id):
            _, view = await self._load(deployment_id)
            if view is None or view.last is None or view.deployment is None:
                return False
            await self._pass(Trigger.of(view, view.last))
            return True

    async def retry(self, deployment_id: str) -> None:
        """Try once more to apply a spec that the cluster has refused; refused again, that is no news.

        Raises Temporary.
        """
        async with self._lock(deployment_id):
            _, view = await self._load(deployment_id)
            if view is not None and view.last is not None and view.rollout.failed_spec_id is not None:
                await self._pass(Trigger.of(view, view.last), is_retry=True)

    async def remove_stranger(self, deployment_id: str) -> None:
        """End what the cluster holds of a deployment that the log does not know: the cluster becomes what the
        log says. A log without any event says nothing, so nothing is removed for it. Raises Temporary.
        """
        async with self._lock(deployment_id):
            last, identity = await self._log.last_sequence(), await self._log.identity()
            _, view = await self._load(deployment_id)
            if last == 0 or (view is not None and view.deployment is not None):
                return
            removal = Plan(last, because=(Because.UNKNOWN_TO_THE_LOG,), is_removal=True)
            if await self._perform(removal, deployment_id, Position(last, identity)):
                logger.warning("removed what the log does not know", deployment_id=deployment_id)

    def _lock(self, deployment_id: str) -> asyncio.Lock:
        return self._locks.setdefault(deployment_id, asyncio.Lock())

    async def _load(self, deployment_id: str) -> tuple[Loaded, DeploymentView | None]:
        """With it, in one answer, which routers there are. One that joins later has read by then that a
        replica is to leave which this answer shows to be withdrawn, and so never sends it a request."""
        loaded = await self._log.load(select(aggregate_id=deployment_id), EVERY_ROUTER)
        return loaded, fold(event for event in loaded.events if event.aggregate.id == deployment_id)

    async def _pass(self, trigger: Trigger, *, is_retry: bool = False) -> None:
        with telemetry.span("reconcile", trigger.traceparent, deployment_id=trigger.deployment_id):
            previous: Plan | None = None
            for _ in range(MAX_STEPS):
                loaded, view = await self._load(trigger.deployment_id)
                if view is None or view.sequence < trigger.sequence:
                    raise LogUnavailable(f"the log does not show event {trigger.sequence} yet")
                observed = await self._cluster.observe(trigger.deployment_id)
                routers = joined_by(loaded.events)
                shown = known(observed.get(trigger.deployment_id))
                step = self.plan(_as_if_allowed(view) if is_retry else view, shown, routers)
                # The same step again: it is done, and the cluster takes its time.
                if step.is_empty or step == previous:
                    self._remember(view)
                    return
                concerned = _concerned(view, shown)
                if not _makes_first_ones(step, concerned) and await self._cluster.confirm(
                    trigger.deployment_id, concerned, shown
                ):
                    continue
                try:
                    await self._take(step, trigger, view, loaded)
                    previous = step
                except AppendConflict:
                    previous = None
            raise Temporary(f"still changing after {MAX_STEPS} steps")

    async def _take(self, step: Plan, trigger: Trigger, view: DeploymentView, loaded: Loaded) -> None:
        hash_ = view.last.hash if view.last else ""
        fence = Position(step.fence, await self._log.identity(), hash_)
        held: DeploymentUnavailable | None = None
        try:
            if not await self._perform(step, view.deployment_id, fence):
                return
        except CannotApply as error:
            failed = _failed(view, error)
            if failed.spec_id == view.rollout.failed_spec_id:
                return  # it is said already; what was refused now is more of an older run
            step = replace(step, facts=(failed,))
        except DeploymentUnavailable as error:
            # Such as a quota. It is tried again and again, and may be what keeps the rollout.
            step, held = replace(step, facts=_still_waiting(step, error, view)), error
        if step.facts:
            await self._append(step, trigger, view, loaded)
        if held is not None:
            raise held

    async def _append(self, step: Plan, trigger: Trigger, view: DeploymentView, loaded: Loaded) -> None:
        rollout = Aggregate(view.project_id, RolloutFact.aggregate, view.deployment_id)
        roster = Aggregate(view.project_id, RosterFact.aggregate, view.deployment_id)
        guards = [Guard(roster.filter, loaded.heads.get(roster, Head()).sequence)] if step.retires else []
        await self._log.append(
            [Draft(rollout, fact) for fact in step.facts],
            heads=loaded.heads,
            cause=Cause(
                actor="service:reconciler",
                correlation_id=trigger.correlation_id,
                causation_id=trigger.event_id,
                traceparent=telemetry.current_traceparent(),
            ),
            guards=guards,
        )
        for fact in step.facts:
            logger.info(
                "rollout moved",
                deployment_id=view.deployment_id,
                fact=fact.event_type(),
                **fact.model_dump(mode="json"),
            )

    async def _perform(self, step: Plan, deployment_id: str, fence: Position) -> bool:
        """Whether it was done: not if a newer plan was applied before.

        A plan that rests on what the log does not have is none: a backup was restored, or another log put in
        its place. The cluster compares and replaces at once, so of two that find it out one comes first.
        """
        taken_over: set[Position] = set()
        while True:
            try:
                await perform(step, self._cluster, deployment_id=deployment_id, fence=fence)
            except Fenced as fenced:
                if fenced.by in taken_over or await self._is_in_log(fenced.by, deployment_id):
                    logger.warning("plan is older than the cluster's", deployment_id=deployment_id)
                    return False
                logger.warning("taking over from a plan of a lost history", deployment_id=deployment_id)
                taken_over.add(fenced.by)
                await self._cluster.take_over(deployment_id, recorded=fenced.by, fence=fence)
            else:
                if step.because:
                    logger.info("cluster changed", deployment_id=deployment_id, because=list(step.because))
                return True

    async def _is_in_log(self, recorded: Position, deployment_id: str) -> bool:
        """Whether the plan that refused ours rests on an event of this very log."""
        if not await self._log.has(recorded):
            return False
        if recorded.hash:
            return True
        # Of a record that knows no more than a sequence: it has to be an event of this deployment.
        found = self._log.read(
            select(aggregate_id=deployment_id), after=recorded.sequence - 1, until=recorded.sequence
        )
        return any([event async for event in found])

    def _remember(self, view: DeploymentView) -> None:
        if view.rollout.is_removed:
            self._seen.pop(view.deployment_id, None)
        else:
            self._seen[view.deployment_id] = view.sequence


def _as_if_allowed(view: DeploymentView) -> DeploymentView:
    """A refused spec as one that was never tried.

    One that had been applied, and of which more was refused, has to be said to be applied again: only that
    ends its failure.
    """
    if view.rollout.failed_spec_id is None:
        return view
    untried = replace(view.rollout, failed_spec_id=None, failure=None, applied_spec_id=None)
    return replace(view, rollout=untried)


def _concerned(view: DeploymentView, shown: ObservedWorkload | None) -> set[str]:
    """Every replica that a plan rests on."""
    listed = {replica.replica_id for replica in view.roster.replicas}
    return listed | {replica.replica_id for replica in (shown.replicas if shown else ())}


def _makes_first_ones(step: Plan, concerned: Collection[str]) -> bool:
    """Whether it makes replicas and rests on none. If there are some after all, which an old list lacks, the
    cluster finds and counts them as it makes others: so it need not be asked before."""
    return not concerned and step.workload is not None and bool(step.workload.runs)


def _still_waiting(step: Plan, error: DeploymentUnavailable, view: DeploymentView) -> tuple[RolloutFact, ...]:
    """What is true of the step though it was not performed: that its rollout waits, or is stalled, and why.

    It is tried again and again; what was said of it is no news, though another replica was tried. Nor is what
    holds up a spec that is known to have failed.
    """
    progress, before = step.progress, view.rollout.progress
    if progress is None or progress.phase not in (RolloutPhase.WAITING_FOR_READY, RolloutPhase.STALLED):
        return ()
    if view.rollout.failed_spec_id == progress.spec_id:
        return ()
    message = bounded(f"{progress.message}; {error}" if progress.message else str(error))
    is_known = before is not None and (before.phase, before.spec_id) == (progress.phase, progress.spec_id)
    if is_known and before is not None and without_ids(before.message or "") == without_ids(message):
        return ()
    return (progress.model_copy(update={"message": message}),)


def _failed(view: DeploymentView, error: CannotApply) -> SpecFailed:
    """Only a workload that carries the newest spec can be refused, so it is that spec's failure."""
    deployment = view.deployment
    if deployment is None or deployment.spec is None or deployment.spec_id is None:
        raise error
    return SpecFailed(spec_id=deployment.spec_id, reason=SpecFailedReason(error.reason), message=str(error))
