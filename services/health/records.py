"""What the log says of every replica, and writing to it: the one place of this service that appends."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from libs.common import telemetry
from libs.common.errors import AppendConflict
from libs.common.events.deployment import SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded
from libs.common.events.replica import Replica, ReplicaBecameReady, ReplicaFact, ReplicaStarted, RosterFact
from libs.common.events.rollout import ReplicasMoving, SpecApplied
from libs.common.events.scaling import ReplicasDecided
from libs.common.log.port import EventLog, Head
from libs.common.state import replica
from libs.common.state.replica import Roster, record
from libs.common.state.view import DeploymentView, Views

logger = structlog.get_logger()

ACTOR = "service:health"

_ASKING: Final = frozenset(
    fact.event_type() for fact in (SpecRegistered, SpecApplied, ReplicasMoving, ReplicasDecided)
)
"""What replicas come of."""

LOADED_AT_ONCE = 50
"""Records that are read from the log with one request."""


@dataclass(slots=True)
class Records:
    """The rosters of all deployments that have replicas, each with the end of its history."""

    log: EventLog
    views: Views
    rosters: dict[str, Roster] = field(default_factory=dict)
    """Of every deployment that has an open record, as the log has them."""
    _heads: dict[str, Head | None] = field(default_factory=dict)
    """The end of each of these histories; None after an append of which the outcome is unknown."""
    _aggregates: dict[str, Aggregate] = field(default_factory=dict)
    _asked: dict[str, str] = field(default_factory=dict)
    """The newest event of a deployment that asked for replicas, as far as it was seen."""
    _appending: set[str] = field(default_factory=set)
    """The deployments whose append has not been answered yet."""

    async def load(self) -> None:
        """Open the record of every deployment that has replicas by its view. Raises LogUnavailable."""
        with_replicas = [
            Aggregate(view.project_id, RosterFact.aggregate, view.deployment_id)
            for view in self.views
            if view.roster.replicas
        ]
        for start in range(0, len(with_replicas), LOADED_AT_ONCE):
            some = with_replicas[start : start + LOADED_AT_ONCE]
            loaded = await self.log.load(*(aggregate.filter for aggregate in some))
            for aggregate in some:
                self._take(aggregate, loaded.of(aggregate))
        for view in self.views:
            self.note(view)

    def exists(self, deployment_id: str) -> bool:
        """Whether the log has the deployment, and it is not deleted."""
        view = self.views.by_id.get(deployment_id)
        return view is not None and view.deployment is not None and not view.deployment.is_deleted

    def newest(self, most: int) -> list[str]:
        """The deployments of which the log has the newest events, those first."""
        newest = heapq.nlargest(most, self.views.by_id.values(), key=lambda view: view.sequence)
        return [view.deployment_id for view in newest]

    def note(self, view: DeploymentView) -> None:
        """An event was followed: what others write may be the cause of what replicas do."""
        if view.last is not None and view.last.type in _ASKING:
            self._asked[view.deployment_id] = view.last.event_id
        if view.deployment_id not in self.views.by_id:
            self._asked.pop(view.deployment_id, None)

    def take_over(self, view: DeploymentView, event: Recorded) -> bool:
        """Whether this is a roster that we have not written, and which the record now rests on.

        What an import brought, or another hand, is no better than a guess until the cluster was observed.
        """
        if event.aggregate.kind != RosterFact.aggregate:
            return False
        deployment_id = event.aggregate.id
        head = self._heads.get(deployment_id)
        if head is not None and head.sequence >= event.sequence:
            return False
        if deployment_id in self._appending:
            # Most likely our own, of which the answer is still to come; a conflict tells otherwise.
            return False
        self._aggregates[deployment_id] = event.aggregate
        self.rosters[deployment_id] = view.roster
        self._heads[deployment_id] = Head(event.sequence, event.hash)
        return True

    async def open(self, project_id: str, deployment_id: str) -> None:
        """Have the present roster of a deployment in `rosters`. Raises LogUnavailable."""
        if self._heads.get(deployment_id) is not None:
            return
        aggregate = Aggregate(project_id, RosterFact.aggregate, deployment_id)
        self._take(aggregate, (await self.log.load(aggregate.filter)).events)

    def roster(self, deployment_id: str) -> Roster:
        """As the open record has it; an empty one where none is open."""
        return self.rosters.get(deployment_id) or Roster()

    def close(self, deployment_id: str) -> None:
        """Forget a deployment that has no replicas any more; its history stays in the log."""
        self.rosters.pop(deployment_id, None)
        self._heads.pop(deployment_id, None)
        self._aggregates.pop(deployment_id, None)

    def close_if_empty(self, deployment_id: str) -> None:
        """While nobody here observes: what another copy closes must not be kept for ever."""
        if not self.roster(deployment_id).replicas:
            self.close(deployment_id)

    def leaving(self, deployment_id: str) -> frozenset[str]:
        """The replicas that were asked to go."""
        view = self.views.by_id.get(deployment_id)
        return view.rollout.retiring if view else frozenset()

    async def append(
        self, deployment_id: str, facts: Sequence[ReplicaFact], traceparents: Mapping[str, str]
    ) -> None:
        """Append all of `facts` or none, with the pages of the roster that they leave, each page once.

        On a conflict the record is read again, for another decision.

        traceparents: the trace of the change behind each replica, which the first readiness continues.
        Raises LogUnavailable, or whatever the log raises: the record is read again before the next decision.
        """
        aggregate = self._aggregates[deployment_id]
        if (head := self._heads[deployment_id]) is None:
            await self._reload(aggregate)
            return
        before = self.rosters[deployment_id]
        pages, roster = record(before, facts)
        asked_for = [fact for fact in facts if _is_asked_for(fact, before.get(fact.replica_id))]
        parent = next((traceparents.get(fact.replica_id) for fact in asked_for), None)
        with telemetry.span("record replica facts", parent, deployment_id=deployment_id, facts=len(facts)):
            self._appending.add(deployment_id)
            try:
                appended = await self.log.append(
                    [Draft(aggregate, fact) for fact in (*pages, *facts)],
                    heads={aggregate: head},
                    cause=self._cause(deployment_id, facts if len(asked_for) == len(facts) else ()),
                )
            except AppendConflict:
                logger.warning("replica record moved on", deployment_id=deployment_id)
                await self._reload(aggregate)
                return
            except Exception:
                # Whatever went wrong, it may be stored or not.
                self._heads[deployment_id] = None
                raise
            finally:
                self._appending.discard(deployment_id)
            self._heads[deployment_id] = appended.heads[aggregate]
            self.rosters[deployment_id] = roster
            for fact in facts:
                _tell(deployment_id, fact)

    def _cause(self, deployment_id: str, asked_for: Sequence[ReplicaFact]) -> Cause:
        """asked_for: the facts, where they come of something that was asked for, all of them.

        Each goes back to what was asked of the deployment last. Which event led to a replica of an earlier
        spec, or to one that comes up though it is deleted by now, is not known any more.
        """
        view = self.views.by_id.get(deployment_id)
        deployment = view.deployment if view else None
        newest_id = deployment.spec_id if deployment and deployment.exists else None
        is_known = {fact.replica.spec_id for fact in asked_for if fact.replica} == {newest_id}
        return Cause(
            actor=ACTOR,
            correlation_id=(deployment.correlation_id if deployment else None) or deployment_id,
            causation_id=self._asked.get(deployment_id) if is_known else None,
            traceparent=telemetry.current_traceparent(),
        )

    async def _reload(self, aggregate: Aggregate) -> None:
        self._heads[aggregate.id] = None
        self._take(aggregate, (await self.log.load(aggregate.filter)).events)

    def _take(self, aggregate: Aggregate, events: Sequence[Recorded]) -> None:
        roster = Roster()
        for event in events:
            roster = replica.evolve(roster, event)
        last = events[-1] if events else None
        self._aggregates[aggregate.id] = aggregate
        self.rosters[aggregate.id] = roster
        self._heads[aggregate.id] = Head(last.sequence, last.hash) if last else Head()


def _is_asked_for(fact: ReplicaFact, before: Replica | None) -> bool:
    """Whether somebody asked for what happened: a replica comes up, or is ready for the first time, with its
    first process. before: as it was before all that happened with it, None where it was not known."""
    match fact:
        case ReplicaStarted() if before is None:
            return True
        case ReplicaStarted(replica=after) | ReplicaBecameReady(replica=after):
            was_ready = before is not None and before.ready_at is not None
            return after is not None and after.attempt == 0 and not was_ready
        case _:
            return False


def _tell(deployment_id: str, fact: ReplicaFact) -> None:
    logger.info(
        "replica changed",
        change=fact.event_type(),
        deployment_id=deployment_id,
        replica_id=fact.replica_id,
        reason=getattr(fact, "reason", None),
        message=getattr(fact, "message", None),
    )
