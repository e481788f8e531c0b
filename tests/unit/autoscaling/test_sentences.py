"""The arithmetic of a decision in words."""

import re

import pytest

from libs.common.autoscaling.sentence import sentence_of
from libs.common.autoscaling.told import Told
from libs.common.events.scaling import InFlightOutcome, LimitedTo, MetricName, MetricOutcome, StabilisedTo
from libs.common.scaling.behavior import RateType
from libs.common.scaling.cause import Cause
from libs.common.scaling.conditions import Reason
from libs.common.scaling.proposals import Unknown
from libs.common.scaling.replicas import Bounds
from libs.common.spec.model import (
    Autoscaling,
    ScalingBehavior,
    ScalingConcurrency,
    ScalingDirection,
    ScalingMetric,
    ScalingRate,
)
from tests.support.decided_again import decided_again
from tests.unit.autoscaling.by_hand import check_by_hand
from tests.unit.autoscaling.told import cpu, fact

CPU = ScalingMetric(metric="cpu", value=50)
DURATION = ScalingMetric(metric="requestDuration", value=0.15)
FAST = ScalingDirection(policies=(ScalingRate(type="Pods", value=4, period_seconds=15),))


SLOW = MetricOutcome(
    metric=MetricName.REQUEST_DURATION,
    target=0.15,
    value=0.09,
    ratio=0.6,
    proposal=2,
    counted_ratio=0.6,
    counted=3,
    ready=3,
)


def by_metrics(*metrics: ScalingMetric, **more) -> Autoscaling:
    return Autoscaling(max_replicas=5, metrics=metrics or (CPU,), **more)


WITHIN = LimitedTo(replicas=6, reason=Reason.DESIRED_WITHIN_RANGE)
FREE = StabilisedTo(replicas=6, reason=Reason.READY_FOR_NEW_SCALE)


@pytest.mark.parametrize(
    ("policy", "told", "before", "after", "more", "sentence"),
    [
        pytest.param(
            by_metrics(CPU, DURATION),
            Told(
                (cpu(84, 3), SLOW),
                MetricName.CPU,
                FREE,
                LimitedTo(replicas=5, reason=Reason.TOO_MANY_REPLICAS),
            ),
            3,
            5,
            {},
            "cpu 84 % of 50 → 3 × 84/50 = 5.04 → 6; "
            "requestDuration 0.09 s of 0.15 → 3 × 0.09/0.15 = 1.8 → 2; highest 6 (cpu); ceiling 5 → 5",
            id="the highest, and the ceiling",
        ),
        pytest.param(
            by_metrics(behavior=ScalingBehavior(scale_up=FAST)).model_copy(update={"max_replicas": 20}),
            Told(
                (cpu(250, 3),),
                MetricName.CPU,
                StabilisedTo(replicas=15, reason=Reason.READY_FOR_NEW_SCALE),
                LimitedTo(
                    replicas=6,
                    reason=Reason.SCALE_UP_LIMIT,
                    rate_type=RateType.PODS,
                    rate_value=4,
                    rate_period_s=15,
                    began_with=2,
                ),
            ),
            3,
            6,
            {},
            "cpu 250 % of 50 → 3 × 250/50 = 15 → 15; at most 6 (2 + 4 in 15 s) → 6",
            id="a rate",
        ),
        pytest.param(
            by_metrics(behavior=ScalingBehavior(scale_up=FAST)).model_copy(update={"max_replicas": 20}),
            Told(
                (cpu(250, 8),),
                MetricName.CPU,
                StabilisedTo(replicas=40, reason=Reason.READY_FOR_NEW_SCALE),
                LimitedTo(
                    replicas=8,
                    reason=Reason.SCALE_UP_LIMIT,
                    rate_type=RateType.PODS,
                    rate_value=4,
                    rate_period_s=15,
                    began_with=2,
                ),
            ),
            8,
            8,
            {},
            "cpu 250 % of 50 → 8 × 250/50 = 40 → 40; at most 8 (2 + 4 in 15 s is 6, passed already) → 8",
            id="a rate that was passed already",
        ),
        pytest.param(
            by_metrics(),
            Told(
                (cpu(84, 3, missing=1, counted_ratio=1.12, ready=2, proposal=4),),
                MetricName.CPU,
                FREE,
                WITHIN,
            ),
            3,
            4,
            {},
            "cpu 84 % of 50, with 1 missing as idle 1.12 → 3 × 1.12 = 3.36 → 4",
            id="one that was not measured",
        ),
        pytest.param(
            by_metrics(CPU, DURATION),
            Told(
                (cpu(52, 3, is_held=True, proposal=3), SLOW),
                MetricName.CPU,
                StabilisedTo(
                    replicas=4,
                    reason=Reason.SCALE_DOWN_STABILIZED,
                    deciding_replicas=4,
                    deciding_age_s=120,
                ),
                WITHIN,
            ),
            3,
            4,
            {},
            "cpu 52 % of 50 → 3 × 52/50 = 3.12 → 4, but 1.04 is within 0.9 to 1.1: 3; "
            "requestDuration 0.09 s of 0.15 → 3 × 0.09/0.15 = 1.8 → 2; highest 3 (cpu); "
            "4 was recommended 120 s ago: 4 → 4",
            id="tolerance, and an earlier recommendation",
        ),
        pytest.param(
            by_metrics(CPU, DURATION),
            Told(
                (
                    cpu(20, 3),
                    MetricOutcome(
                        metric=MetricName.REQUEST_DURATION, target=0.15, unknown=Unknown.NO_SAMPLES
                    ),
                ),
                MetricName.CPU,
            ),
            3,
            3,
            {},
            "cpu 20 % of 50 → 3 × 20/50 = 1.2 → 2; "
            "requestDuration, target 0.15 s, is unknown: nothing was measured; "
            "as long as that is unknown it stays at 3 → 3",
            id="unknown",
        ),
        pytest.param(
            by_metrics(), Told(), 9, 5, {"reason": Cause.ABOVE_MAXIMUM}, "9 is above the ceiling 5 → 5"
        ),
        pytest.param(
            Autoscaling(max_replicas=9, concurrency=ScalingConcurrency(target=10)),
            Told(in_flight=InFlightOutcome(stable=25, panic=20, ready=2, needed=4)),
            2,
            4,
            {},
            "25 in flight, 10 × 70 % = 7 for each → 3.571 → 4",
            id="requests in flight",
        ),
        pytest.param(
            Autoscaling(max_replicas=9, concurrency=ScalingConcurrency(target=10)),
            Told(in_flight=InFlightOutcome(stable=5, panic=40, ready=2, needed=6)),
            2,
            6,
            {},
            "5 in flight, 10 × 70 % = 7 for each → 0.714 → 1; a burst: 40 in the last 6 s → 6: 6 → 6",
            id="a burst",
        ),
        pytest.param(
            Autoscaling(max_replicas=20, concurrency=ScalingConcurrency()),
            Told(in_flight=InFlightOutcome(stable=0.5, panic=0, ready=9, needed=1, step_age_s=900)),
            9,
            5,
            {},
            "0.5 in flight, 1 × 70 % = 0.7 for each → 0.714 → 1; 8 too many for 900 s: "
            "50 % of them, at least 1: 9 - 4 → 5",
            id="a step down",
        ),
        pytest.param(
            Autoscaling(max_replicas=20, concurrency=ScalingConcurrency()),
            Told(
                in_flight=InFlightOutcome(
                    stable=2, panic=0, ready=9, needed=3, panicking_for_s=61, most_in_panic=9
                )
            ),
            3,
            3,
            {},
            "2 in flight, 1 × 70 % = 0.7 for each → 2.857 → 3",
            id="a burst that is over",
        ),
        pytest.param(
            Autoscaling(max_replicas=20, concurrency=ScalingConcurrency()),
            Told(in_flight=InFlightOutcome(stable=0.5, panic=0, ready=5, needed=1)),
            5,
            5,
            {"reason": Cause.ROLLING_OUT, "is_rolling_out": True},
            "0.5 in flight, 1 × 70 % = 0.7 for each → 0.714 → 1; needed 1; "
            "a new run comes up, so it does not fall → 5",
            id="a rollout with few requests in flight",
        ),
        pytest.param(
            Autoscaling(max_replicas=20, concurrency=ScalingConcurrency()),
            Told(in_flight=InFlightOutcome(stable=0.5, panic=0, ready=5, needed=3, step_age_s=100)),
            5,
            5,
            {"floor": 3},
            "0.5 in flight, 1 × 70 % = 0.7 for each → 0.714 → 1; floor 3; needed 3, "
            "and a step down waits 900 s from when the load fell, or from the last step → 5",
            id="a delay, above the floor",
        ),
    ],
)
def test_the_sentence(policy, told, before, after, more, sentence):  # noqa: PLR0917 - a column for each
    made = fact(policy, told, before=before, after=after, **{"floor": 1, **more})
    assert sentence_of(made) == sentence
    check_by_hand(sentence, Bounds(made.floor, policy.max_replicas))
    assert decided_again(made) == after


def test_a_product_a_hair_above_a_whole_number_is_told_as_that():
    ratio = 1.1 * 3 / 3
    told = cpu(55, 3, target=50, ratio=ratio, counted_ratio=1.0000000001, proposal=4)
    said = sentence_of(
        fact(by_metrics(), Told((told,), MetricName.CPU, FREE, WITHIN), before=3, after=4, floor=1)
    )
    assert re.search(r"= 3\.0000000003 → 4", said), said


def duration(value: float, counted: int, *, target: float) -> MetricOutcome:
    return cpu(value, counted, target=target, metric=MetricName.REQUEST_DURATION)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (duration(0.0004, 5, target=0.001), "requestDuration 0.0004 s of 0.001 → 5 × 0.0004/0.001 = 2 → 2"),
        (
            duration(0.00149, 3, target=0.001),
            "requestDuration 0.00149 s of 0.001 → 3 × 0.00149/0.001 = 4.47 → 5",
        ),
        (duration(0.000001, 3, target=0.001), "0.000001 s of 0.001 → 3 × 0.000001/0.001 = 0.003 → 1"),
        (duration(0.0012, 2, target=0.0015), "0.0012 s of 0.0015 → 2 × 0.0012/0.0015 = 1.6 → 2"),
        (duration(1.234567, 1, target=2), "1.2346 s of 2 → 1 × 1.2346/2 = 0.617 → 1"),
        (cpu(84, 100, counted_ratio=1.1133333), "1.11333 → 100 × 1.11333 = 111.333 → 112"),
        (
            cpu(53, 3, target=50.0001, is_held=True, proposal=3),
            "3 × 53/50.0001 = 3.18 → 4, but 1.06 is within 0.9 to 1.1: 3",
        ),
    ],
)
def test_as_many_decimals_are_shown_as_the_arithmetic_takes(one, said):
    told = Told((one,), MetricName.CPU, FREE, WITHIN)
    found = sentence_of(fact(by_metrics(), told, before=3, after=6, floor=1))
    assert said in found
    check_by_hand(found, Bounds(1, 5))


@pytest.mark.parametrize(
    ("stable", "said"),
    [
        (3.5, "3.5 in flight, 1 × 70 % = 0.7 for each → 5 → 5"),
        (3.5001, "3.5001 in flight, 1 × 70 % = 0.7 for each → 5.0001 → 6"),
        (3.5000001, "3.5000001 in flight, 1 × 70 % = 0.7 for each → 5.0000001 → 6"),
        (10 / 3, "3.3333 in flight, 1 × 70 % = 0.7 for each → 4.762 → 5"),
    ],
)
def test_as_many_decimals_are_shown_of_requests_in_flight(stable, said):
    needed = int(said.rpartition(" ")[2])
    told = Told(in_flight=InFlightOutcome(stable=stable, panic=0, ready=4, needed=needed))
    policy = Autoscaling(max_replicas=9, concurrency=ScalingConcurrency())
    found = sentence_of(fact(policy, told, before=4, after=needed, floor=1))
    assert found == said
    check_by_hand(found, Bounds(1, 9))
