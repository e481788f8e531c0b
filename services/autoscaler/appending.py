"""Storing a decision: guarded by the history of its own aggregate, and thrown away when it is too old."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import structlog

from libs.common import telemetry
from libs.common.clock import Ticks
from libs.common.errors import AppendConflict
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.scaling import ReplicasDecided, ScalingFact
from libs.common.log.port import EventLog
from libs.common.state.view import DeploymentView, Views

logger = structlog.get_logger()

ACTOR: Final = "service:autoscaler"

TOO_OLD_S: Final = 5.0
"""A decision that old says nothing about now: this process was paused, or the log was away."""


class Stored(StrEnum):
    """What became of a decision; closed."""

    APPENDED = "appended"
    CONFLICT = "conflict"
    """Somebody else has decided since: decide again, with that."""
    TOO_OLD = "too_old"
    NOT_LEADING = "not_leading"


class Appender:
    def __init__(self, log: EventLog, views: Views, *, ticks: Ticks) -> None:
        self._log = log
        self._views = views
        self._ticks = ticks
        self._decisions = telemetry.counter(
            "specstream.autoscaler.decisions",
            unit="{decision}",
            description="Decisions of how many replicas there should be, by what became of them",
        )

    async def append(
        self, view: DeploymentView, fact: ReplicasDecided, *, made_at: float, leads: Callable[[], bool]
    ) -> tuple[Stored, int]:
        """What became of it, and the sequence that the view has to have before anything else is decided.

        view: what the decision rests on. made_at: by the same clock as `ticks`. Raises LogUnavailable: then
        nobody knows.
        """
        aggregate = Aggregate(view.project_id, ScalingFact.aggregate, view.deployment_id)
        loaded = await self._log.load(aggregate.filter)
        present = self._views.by_id.get(view.deployment_id)
        if present is None or loaded.sequence > view.sequence or present.scaling != view.scaling:
            return self._told(view, fact, Stored.CONFLICT), loaded.sequence
        if not leads():
            return self._told(view, fact, Stored.NOT_LEADING), 0
        if self._ticks() - made_at > TOO_OLD_S:
            return self._told(view, fact, Stored.TOO_OLD), 0
        try:
            appended = await self._log.append(
                [Draft(aggregate, fact)], heads=loaded.heads, cause=_cause(view)
            )
        except AppendConflict:
            return self._told(view, fact, Stored.CONFLICT), 0
        return self._told(view, fact, Stored.APPENDED), appended.sequence

    def _told(self, view: DeploymentView, fact: ReplicasDecided, stored: Stored) -> Stored:
        self._decisions.add(1, {"stored": stored.value, "reason": fact.reason.value})
        logger.info(
            "replicas decided",
            deployment_id=view.deployment_id,
            from_replicas=fact.from_replicas,
            to_replicas=fact.to_replicas,
            reason=fact.reason.value,
            winner=fact.winner,
            stored=stored.value,
        )
        return stored


def _cause(view: DeploymentView) -> Cause:
    """Load asked for it, and nobody's change: only the spec that set the policy is what it goes on from."""
    deployment = view.deployment
    correlation_id = (deployment.correlation_id if deployment else None) or view.deployment_id
    return Cause(actor=ACTOR, correlation_id=correlation_id)
