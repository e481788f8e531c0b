"""A decision made again from what is told of it, without what was measured of each replica. Pure.

Whoever keeps a decision keeps its reasoning: of each metric the ratio and what it was multiplied with, of
the window the one recommendation that decided, of the rates the one that cut. That is enough to come to the
same number, and this is the proof of it, and the order in which a person can check it.
"""

from libs.common.scaling.combining import combine
from libs.common.scaling.conditions import Reason
from libs.common.scaling.hpa_decision import Reasoning
from libs.common.scaling.hpa_policy import HpaPolicy
from libs.common.scaling.limiting import Limited, grown, limit_without_behavior, shrunk
from libs.common.scaling.proposals import Proposal, rounded_up
from libs.common.scaling.replicas import Bounds
from libs.common.scaling.stabilising import Stabilised


def recomputed(
    policy: HpaPolicy,
    reasoning: Reasoning | None,
    *,
    bounds: Bounds,
    current: int,
    is_rolling_out: bool = False,
) -> int:
    """The number of the decision that has this reasoning."""
    if reasoning is None:
        return 0 if current == 0 else bounds.clamp(current)
    combined = combine(reasoning.outcomes, current=current)
    if combined.is_held or reasoning.stabilised is None or reasoning.limited is None:
        return current
    desired = max(
        proposed(outcome.proposal, current=current)
        for outcome in reasoning.outcomes
        if isinstance(outcome.proposal, Proposal)
    )
    stabilised = _stabilised(reasoning.stabilised, desired=desired, current=current)
    replicas = _limited(policy, reasoning.limited, stabilised, bounds=bounds, current=current)
    return current if is_rolling_out and replicas < current else replicas


def proposed(proposal: Proposal, *, current: int) -> int:
    return current if proposal.is_held else rounded_up(proposal.counted_ratio * proposal.counted)


def _stabilised(stabilised: Stabilised, *, desired: int, current: int) -> int:
    if stabilised.reason is Reason.READY_FOR_NEW_SCALE:
        return desired
    return current if stabilised.deciding is None else stabilised.deciding.replicas


def _limited(policy: HpaPolicy, limited: Limited, desired: int, *, bounds: Bounds, current: int) -> int:
    if policy.behavior is None:
        return limit_without_behavior(current, desired, bounds=bounds).replicas
    by = limited.by
    if by is None:
        return bounds.clamp(desired)
    if by.rate is None or by.began_with is None:
        return current
    if limited.reason is Reason.SCALE_UP_LIMIT:
        return max(grown(by.began_with, by.rate), current)
    return min(shrunk(by.began_with, by.rate), current)
