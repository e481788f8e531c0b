"""What one value of a whole deployment proposes, as Kubernetes' HorizontalPodAutoscaler does. Pure.

| current | value / target   | replicas                           |
|---------|------------------|------------------------------------|
| 0       | any              | ratio, rounded up                  |
| above 0 | within tolerance | current                            |
| above 0 | outside          | ratio x ready replicas, rounded up |
"""

from libs.common.scaling.proposals import Proposal, Tolerance, Unknown, require_positive, rounded_up

TOLERANCE = Tolerance()


def propose_value(
    value: int | None,
    *,
    target: int,
    ready: int | None,
    current: int,
    tolerance: Tolerance = TOLERANCE,
) -> Proposal | Unknown:
    """value, target: in the same unit. ready: how many replicas serve; None where nothing is known of any.

    Raises ValueError for a target that is not above 0.
    """
    require_positive("target", target)
    if value is None:
        return Unknown.NO_SAMPLES
    if ready is None:
        return Unknown.NO_REPLICAS
    ratio = value / target
    is_held = current != 0 and tolerance.covers(ratio)
    counted = ready if current != 0 else 1
    return Proposal(
        replicas=current if is_held else rounded_up(ratio * counted),
        ratio=ratio,
        average=value,
        counted_ratio=ratio,
        counted=counted,
        ready=ready,
        is_held=is_held,
    )
