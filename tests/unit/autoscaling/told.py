"""Decisions written as short as tests need them."""

import math

from libs.common.autoscaling.told import Told
from libs.common.events.scaling import MetricName, MetricOutcome, ReplicasDecided
from libs.common.scaling.cause import Cause
from libs.common.spec.model import Autoscaling


def fact(policy: Autoscaling, told: Told, *, before: int, after: int, floor: int, **more) -> ReplicasDecided:
    return ReplicasDecided(
        spec_id="a" * 32,
        stretch_id="a" * 32,
        from_replicas=before,
        to_replicas=after,
        floor=floor,
        policy=policy,
        metrics=told.metrics,
        winner=told.winner,
        stabilised=told.stabilised,
        limited=told.limited,
        in_flight=told.in_flight,
        **{"reason": Cause.UNCHANGED, **more},
    )


def cpu(value: float, counted: int, *, target: float = 50, **more) -> MetricOutcome:
    ratio = value / target
    proposal = math.ceil(ratio * counted)
    plain = {"counted_ratio": ratio, "counted": counted, "ready": counted, "proposal": proposal}
    return MetricOutcome(
        **{"metric": MetricName.CPU, "target": target, "value": value, "ratio": ratio, **plain, **more}
    )
