"""For how long what holds a change back will hold it at least. Pure."""

from collections.abc import Iterable

from libs.common.scaling.behavior import Rate
from libs.common.scaling.conditions import Reason
from libs.common.scaling.hpa_decision import HpaDecision
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import HpaPolicy
from libs.common.scaling.in_flight import InFlightDecision, InFlightPolicy


def held_for_s(policy: HpaPolicy, decision: HpaDecision, before: HpaMemory, *, now: float) -> float | None:
    """Seconds from now; None where nothing is held back, or not by something that passes.

    before: what was remembered when it was decided.
    """
    reasoning = decision.reasoning
    if reasoning is None or reasoning.stabilised is None or reasoning.limited is None:
        return None
    stabilised, limited = reasoning.stabilised, reasoning.limited
    if limited.by is not None and limited.by.rate is not None:
        return _by_rate(limited.by.rate, before, now=now)
    if stabilised.reason is Reason.READY_FOR_NEW_SCALE:
        return None
    is_up = stabilised.reason is Reason.SCALE_UP_STABILIZED
    behavior = policy.behavior
    if behavior is None:
        window_s = policy.down_window_s
    else:
        window_s = (behavior.scale_up if is_up else behavior.scale_down).window_s
    holding = [
        one.at
        for one in before.recommendations or ()
        if (one.replicas <= stabilised.replicas if is_up else one.replicas >= stabilised.replicas)
    ]
    return _left(max(holding, default=now), window_s, now)


def step_held_for_s(policy: InFlightPolicy, decision: InFlightDecision, *, now: float) -> float | None:
    """Until the next step down; None where no delay runs."""
    began = decision.step.last_step
    return None if began is None else _left(began, policy.scale_down_delay_s, now)


def _by_rate(rate: Rate, before: HpaMemory, *, now: float) -> float:
    """Until the oldest change within its period leaves that."""
    counting: Iterable[float] = [one.at for one in before.changes if now - one.at < rate.period_s]
    return _left(min(counting, default=now), rate.period_s, now)


def _left(since: float, length_s: float, now: float) -> float:
    return max(0.0, since + length_s - now)
