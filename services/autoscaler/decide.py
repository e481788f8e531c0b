"""How many replicas a deployment should have, why, and what to remember of that. Pure.

It brings together what is measured, what is remembered and what the facts say, asks the rules, and tells the
answer as a fact, where the number changes, and as the present reasoning, always.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.common.autoscaling.in_flight_loads import Averages
from libs.common.autoscaling.present import ConditionShown, Present
from libs.common.autoscaling.told import IN_FLIGHT, Told, tell_hpa, tell_in_flight
from libs.common.events.scaling import ReplicasDecided
from libs.common.scaling.cause import Cause
from libs.common.scaling.conditions import Condition, ConditionType, MetricFailure, Reason
from libs.common.scaling.hpa import decide_hpa
from libs.common.scaling.hpa_decision import Reasoning
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import HpaPolicy, Measured
from libs.common.scaling.in_flight import InFlightDecision, InFlightPolicy, decide_in_flight
from libs.common.scaling.proposals import Unknown
from libs.common.scaling.replicas import Replica
from services.autoscaler.holding import held_for_s, step_held_for_s
from services.autoscaler.memory import Memory, panicked, that_matter
from services.autoscaler.situation import Situation

GAP_S = 45.0
"""After so long without a decision nobody knows what was recommended meanwhile."""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """What the rules came to. tell: their arithmetic in words and numbers, which not every decision needs.

    unknown: why nothing is known, by the name of what is measured. gist: of the arithmetic, that which a
    reader would call another reasoning if it were otherwise. held_s: for how long a change is held back at
    least.
    """

    replicas: int
    cause: Cause
    conditions: tuple[Condition | None, ...]
    memory: Memory
    unknown: Mapping[str, str]
    gist: Hashable
    tell: Callable[[], Told]
    held_s: Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """memory: once what is to be appended is stored."""

    situation: Situation
    reasoned: Reasoned
    memory: Memory
    now: float
    wall: datetime

    @property
    def is_changed(self) -> bool:
        return self.reasoned.replicas != self.situation.current

    @property
    def meaning(self) -> Hashable:
        """The same for two outcomes whose explanations differ in nothing but measured values and times."""
        situation, reasoned = self.situation, self.reasoned
        return (
            (situation.spec_id, situation.stretch_id, situation.current, reasoned.replicas, reasoned.cause),
            situation.is_rolling_out,
            tuple(one and (one.is_true, one.reason) for one in reasoned.conditions),
            reasoned.gist,
            tuple(one.replicas for one in that_matter(self.memory.hpa.recommendations or ())),
        )

    def fact(self) -> ReplicasDecided | None:
        """What to append; None where the number stays."""
        if not self.is_changed:
            return None
        situation, told = self.situation, self.reasoned.tell()
        return ReplicasDecided(
            spec_id=situation.spec_id,
            stretch_id=situation.stretch_id,
            from_replicas=situation.current,
            to_replicas=self.reasoned.replicas,
            floor=situation.bounds.minimum,
            policy=situation.autoscaling,
            reason=self.reasoned.cause,
            is_rolling_out=situation.is_rolling_out,
            metrics=told.metrics,
            winner=told.winner,
            stabilised=told.stabilised,
            limited=told.limited,
            in_flight=told.in_flight,
        )

    def present(self) -> Present:
        """What explains the number now."""
        situation, reasoned, told = self.situation, self.reasoned, self.reasoned.tell()
        held_s, since = reasoned.held_s(), self.memory.unknown_since.items()
        return Present(
            spec_id=situation.spec_id,
            stretch_id=situation.stretch_id,
            at=self.wall,
            current=situation.current,
            replicas=reasoned.replicas,
            reason=reasoned.cause,
            is_rolling_out=situation.is_rolling_out,
            conditions=tuple(
                ConditionShown(type=one.type, is_true=one.is_true, reason=one.reason, message=one.message)
                for one in reasoned.conditions
                if one is not None
            ),
            metrics=told.metrics,
            winner=told.winner,
            stabilised=told.stabilised,
            limited=told.limited,
            in_flight=told.in_flight,
            held_until=None if held_s is None else self.wall + timedelta(seconds=held_s),
            unknown=dict(reasoned.unknown),
            unknown_since={name: self.wall - timedelta(seconds=self.now - at) for name, at in since},
        )


def decide(
    situation: Situation,
    policy: HpaPolicy | InFlightPolicy,
    *,
    replicas: tuple[Replica, ...],
    measured: Measured,
    averages: Averages,
    memory: Memory,
    now: float,
    wall: datetime,
) -> Outcome:
    """measured, averages: only that is looked at which the policy goes by. wall: the time of day, which only
    explanations have."""
    if memory.decided_at is None or now - memory.decided_at > GAP_S:
        memory = memory.after_a_gap(situation.current, now=now)
    if isinstance(policy, InFlightPolicy):
        reasoned = _by_requests_in_flight(situation, policy, replicas, averages, memory, now=now)
    else:
        reasoned = _by_metrics(situation, policy, replicas, measured, memory, now=now)
    kept, since = reasoned.memory, memory.unknown_since
    after = Memory(
        kept.stretch_id,
        kept.hpa,
        kept.in_flight,
        unknown_since={name: since.get(name, now) for name in reasoned.unknown},
        at_ceiling_since=_at_ceiling_since(situation, reasoned, memory, now=now),
        decided_at=now,
    )
    return Outcome(situation, reasoned, after, now, wall)


def _at_ceiling_since(
    situation: Situation, reasoned: Reasoned, memory: Memory, *, now: float
) -> float | None:
    """Where load can change the number at all: a ceiling that is the floor holds nothing back."""
    bounds = situation.bounds
    if bounds.minimum < bounds.maximum <= reasoned.replicas:
        return now if memory.at_ceiling_since is None else memory.at_ceiling_since
    return None


def _by_metrics(
    situation: Situation,
    policy: HpaPolicy,
    replicas: tuple[Replica, ...],
    measured: Measured,
    memory: Memory,
    *,
    now: float,
) -> Reasoned:
    decision = decide_hpa(
        policy,
        bounds=situation.bounds,
        current=situation.current,
        replicas=replicas,
        measured=measured,
        memory=memory.hpa,
        now=now,
        is_rolling_out=situation.is_rolling_out,
    )
    conditions, reasoning = decision.conditions, decision.reasoning
    outcomes = () if reasoning is None else reasoning.outcomes
    unknown = {one.name: one.proposal.value for one in outcomes if isinstance(one.proposal, Unknown)}
    return Reasoned(
        decision.replicas,
        decision.cause,
        (conditions.able_to_scale, conditions.scaling_active, conditions.scaling_limited),
        # The changes come from the log, once this one is there.
        Memory(
            memory.stretch_id,
            HpaMemory(decision.memory.recommendations, memory.hpa.changes, decision.memory.kept_s),
            memory.in_flight,
        ),
        unknown,
        _gist(reasoning),
        lambda: tell_hpa(policy, decision, measured, now=now),
        lambda: held_for_s(policy, decision, memory.hpa, now=now),
    )


def _gist(reasoning: Reasoning | None) -> Hashable:
    if reasoning is None:
        return None
    proposals = tuple(
        one.proposal if isinstance(one.proposal, Unknown) else (one.proposal.replicas, one.proposal.is_held)
        for one in reasoning.outcomes
    )
    stabilised, limited = reasoning.stabilised, reasoning.limited
    return (
        proposals,
        stabilised and (stabilised.replicas, stabilised.reason),
        limited and (limited.replicas, limited.reason),
    )


def _by_requests_in_flight(
    situation: Situation,
    policy: InFlightPolicy,
    replicas: tuple[Replica, ...],
    averages: Averages,
    memory: Memory,
    *,
    now: float,
) -> Reasoned:
    ready = sum(one.serves for one in replicas)
    before = memory.in_flight
    decision = decide_in_flight(
        policy,
        bounds=situation.bounds,
        current=situation.current,
        stable=averages.stable,
        panic=averages.panic,
        ready=ready,
        memory=before,
        now=now,
        is_rolling_out=situation.is_rolling_out,
    )
    after = decision.memory
    if decision.needed is None:
        after = panicked(after, situation.current, now=now)
    cause, conditions = _in_flight_reason(situation, decision)
    is_unknown = decision.needed is None
    return Reasoned(
        decision.replicas,
        cause,
        conditions,
        replace(memory, in_flight=after),
        {IN_FLIGHT: Unknown.NO_SAMPLES.value} if is_unknown else {},
        (decision.needed, decision.concurrency.panicking_since is None),
        lambda: tell_in_flight(
            decision, stable=averages.stable, panic=averages.panic, ready=ready, before=before, now=now
        ),
        lambda: step_held_for_s(policy, decision, now=now),
    )


def _in_flight_reason(
    situation: Situation, decision: InFlightDecision
) -> tuple[Cause, tuple[Condition | None, ...]]:
    able = Condition(ConditionType.ABLE_TO_SCALE, True, Reason.READY_FOR_NEW_SCALE)
    if decision.needed is None:
        active = Condition(
            ConditionType.SCALING_ACTIVE, False, Reason(MetricFailure.EXTERNAL), "requests in flight"
        )
        return Cause.METRICS_UNKNOWN, (replace(able, reason=Reason.SUCCEEDED_GET_SCALE), active)
    active = Condition(
        ConditionType.SCALING_ACTIVE, True, Reason.VALID_METRIC_FOUND, "from requests in flight"
    )
    wanted = decision.concurrency.replicas
    limited = Condition(ConditionType.SCALING_LIMITED, False, Reason.DESIRED_WITHIN_RANGE)
    if wanted is not None and wanted != decision.needed:
        reason = Reason.TOO_MANY_REPLICAS if wanted > decision.needed else Reason.TOO_FEW_REPLICAS
        limited = Condition(ConditionType.SCALING_LIMITED, True, reason)
    if decision.replicas > situation.current:
        cause = Cause.METRIC_ABOVE_TARGET
    elif decision.replicas < situation.current:
        cause = Cause.ALL_METRICS_BELOW_TARGET
    elif decision.needed < situation.current:
        cause = Cause.ROLLING_OUT if situation.is_rolling_out else Cause.UNCHANGED
        able = replace(able, reason=Reason.SCALE_DOWN_STABILIZED)
    else:
        cause = Cause.UNCHANGED
    if decision.replicas != situation.current:
        able = replace(able, reason=Reason.SUCCEEDED_RESCALE)
    return cause, (able, active, limited)
