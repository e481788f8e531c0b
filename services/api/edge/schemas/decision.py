"""What was decided about a deployment and why, for people and for programs."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field

from libs.common.autoscaling.present import Present
from libs.common.autoscaling.sentence import Frame, sentence, sentence_of
from libs.common.clock import to_rfc3339
from libs.common.events.scaling import ReplicasDecided
from libs.common.scaling.replicas import Bounds
from libs.common.spec.model import Autoscaling
from services.api.edge.schemas.base import Answer
from services.api.edge.schemas.deployment import PlaceAnswer
from services.api.readmodels.decisions import DecisionKind, DecisionRecord


class DecisionAnswer(Answer):
    """sequence: of its event, for `?at=` and `GET /v1/events`. type: of the event. actor: who is
    answerable. sentence: for people; of a scaling decision its arithmetic. data: what the event says, but for
    what is long."""

    sequence: int
    dt_created: str
    kind: DecisionKind
    type: str
    actor: str
    sentence: str
    data: Mapping[str, Any]

    @classmethod
    def of(cls, decision: DecisionRecord) -> Self:
        return cls(
            sequence=decision.sequence,
            dt_created=decision.created_at,
            kind=decision.kind,
            type=decision.type,
            actor=decision.actor,
            sentence=decision.sentence,
            data=decision.data,
        )


class BoundsAnswer(Answer):
    """Between which numbers load moves it."""

    minimum: int
    maximum: int


class WaitingAnswer(Answer):
    """Replicas that are wanted and not ready. state: of the replica, `missing` where there is none yet.
    message: why, as far as it is known."""

    replicas: int
    state: str
    message: str | None


class ConditionAnswer(Answer):
    """By the names that Kubernetes publishes."""

    type: str
    status: bool
    reason: str
    message: str


class UnknownAnswer(Answer):
    """What is not known, why, and since when."""

    metric: str
    reason: str
    since: str | None


class ReasoningAnswer(Answer):
    """Why the number is what it is. at: when that was worked out. decision: the sequence of the decision that
    had this reasoning, for of a past moment only that of the newest decision is known; null for the present
    one. heldUntil: when what holds a change back may let it go. data: the numbers, as a decision has them."""

    at: str
    decision: int | None
    replicas: int
    reason: str
    sentence: str
    held_until: str | None
    unknown: list[UnknownAnswer]
    conditions: list[ConditionAnswer]
    data: Mapping[str, Any]

    @classmethod
    def of(cls, present: Present, policy: Autoscaling, bounds: Bounds) -> Self:
        frame = Frame(present.current, present.replicas, bounds, policy)
        return cls(
            at=to_rfc3339(present.at),
            decision=None,
            replicas=present.replicas,
            reason=present.reason.value,
            sentence=sentence(present, frame),
            held_until=None if present.held_until is None else to_rfc3339(present.held_until),
            unknown=[
                UnknownAnswer(
                    metric=metric,
                    reason=reason,
                    since=to_rfc3339(since) if (since := present.unknown_since.get(metric)) else None,
                )
                for metric, reason in present.unknown.items()
            ],
            conditions=[
                ConditionAnswer(
                    type=one.type.value, status=one.is_true, reason=one.reason.value, message=one.message
                )
                for one in present.conditions
            ],
            data=present.model_dump(mode="json", include=_NUMBERS, exclude_none=True),
        )

    @classmethod
    def of_decision(cls, sequence: int, at: str, fact: ReplicasDecided) -> Self:
        """As it was when the number was decided."""
        return cls(
            at=at,
            decision=sequence,
            replicas=fact.to_replicas,
            reason=fact.reason.value,
            sentence=sentence_of(fact),
            held_until=None,
            unknown=[
                UnknownAnswer(metric=one.metric.value, reason=one.unknown.value, since=None)
                for one in fact.metrics
                if one.unknown is not None
            ],
            conditions=[],
            data=fact.model_dump(mode="json", include=_NUMBERS, exclude_none=True),
        )


_NUMBERS = {"metrics", "winner", "stabilised", "limited", "in_flight", "is_rolling_out"}


class ExplainAnswer(Answer):
    """Why there are so many replicas.

    replicas: the number in force, and `why` in words. ready: of the newest spec's run. bounds, policy: null
    where load does not move the number. reasoning: what the autoscaler thinks now, or of a past moment the
    reasoning of the newest decision then; null where there is none. waiting: what keeps wanted replicas from
    being ready. decisions: the newest 20."""

    id: str
    name: str
    spec_id: str | None
    replicas: int
    why: str
    ready: int
    bounds: BoundsAnswer | None
    policy: Mapping[str, Any] | None
    reasoning: ReasoningAnswer | None
    waiting: list[WaitingAnswer]
    decisions: list[DecisionAnswer]
    at: PlaceAnswer | None = Field(default=None, exclude_if=lambda at: at is None)
