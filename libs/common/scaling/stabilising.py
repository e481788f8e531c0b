"""What recent recommendations hold back: the stabilisation of Kubernetes' HorizontalPodAutoscaler. Pure.

A load that flaps has high and low recommendations close together. The number goes up no further than the
lowest of the up window, and down no further than the highest of the down window; between both it stays.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from libs.common.scaling.conditions import Reason


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A number that metrics asked for, before anything held it back."""

    replicas: int
    at: float


@dataclass(frozen=True, slots=True)
class Stabilised:
    replicas: int
    reason: Reason
    """ReadyForNewScale where nothing was held back."""
    deciding: Recommendation | None
    """The earlier one whose number this is, the newest of several; None where nothing was held back, or
    where the number stays because the recommendations are on both sides of it."""
    kept: tuple[Recommendation, ...]
    """What the next decision needs: those within either window, and this one. In the order in which they
    came."""


def stabilise(
    current: int,
    desired: int,
    past: Iterable[Recommendation],
    *,
    up_window_s: float,
    down_window_s: float,
    now: float,
) -> Stabilised:
    """With `behavior`. A recommendation counts while it is younger than the window."""
    past = tuple(past)
    lowest = min([desired, *(one.replicas for one in past if now - one.at < up_window_s)])
    highest = max([desired, *(one.replicas for one in past if now - one.at < down_window_s)])
    replicas = min(max(current, lowest), highest)
    longest = max(up_window_s, down_window_s)
    held = Reason.SCALE_UP_STABILIZED if desired >= current else Reason.SCALE_DOWN_STABILIZED
    return Stabilised(
        replicas,
        Reason.READY_FOR_NEW_SCALE if replicas == desired else held,
        _deciding(replicas, desired, (one for one in past if now - one.at < longest)),
        (*(one for one in past if now - one.at <= longest), Recommendation(desired, now)),
    )


def stabilise_down(
    desired: int, past: Iterable[Recommendation], *, window_s: float, now: float
) -> Stabilised:
    """Without `behavior`: the highest of the window, the present one among them. One of exactly the
    window's age counts too, as published."""
    recent = tuple(one for one in past if now - one.at <= window_s)
    replicas = max([desired, *(one.replicas for one in recent)])
    return Stabilised(
        replicas,
        Reason.READY_FOR_NEW_SCALE if replicas == desired else Reason.SCALE_DOWN_STABILIZED,
        _deciding(replicas, desired, recent),
        (*recent, Recommendation(desired, now)),
    )


def _deciding(replicas: int, desired: int, recent: Iterable[Recommendation]) -> Recommendation | None:
    if replicas == desired:
        return None
    same = (one for one in recent if one.replicas == replicas)
    return max(same, key=lambda one: one.at, default=None)
