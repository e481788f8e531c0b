"""The autoscaling of a spec as a client writes it: one strict model for each part, and what they must be
together."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from libs.common.errors import Issue
from libs.common.spec.bounds import (
    LOWEST_TARGET,
    MAX_RATES,
    MAX_REPLICAS,
    Count,
    DownRate,
    LoadWindow,
    MaxReplicas,
    MetricWord,
    Period,
    RateWord,
    SelectWord,
    Target,
    Tolerance,
    Utilization,
    Window,
)
from libs.common.spec.integrations import ABSENT, Input
from libs.common.spec.raw import listing, mapping, text, whole
from libs.common.spec.shown import shown


class Metric(Input):
    metric: MetricWord
    summary: Literal["average"]
    value: Target = Field(
        description="cpu and memory: percent, at most 100. requestDuration: seconds. At least 0.001."
    )


class Rate(Input):
    """At most `value` within any `periodSeconds`."""

    type: RateWord = Field(
        description="Pods: replicas. Percent: of how many there were when the period began."
    )
    value: Count
    period_seconds: Period


class Direction(Input):
    """`HPAScalingRules` of autoscaling/v2. What is left out is as there."""

    stabilization_window_seconds: Window = Field(
        default=ABSENT, description="How far back recommendations count: 0 up, 300 down by default."
    )
    select_policy: SelectWord = Field(
        default=ABSENT, description="Which policy decides: Max by default, the one that allows most."
    )
    policies: list[Rate] = Field(
        default=ABSENT,
        min_length=1,
        max_length=MAX_RATES,
        description="By default 4 Pods or 100 Percent in 15 s up, 100 Percent in 15 s down.",
    )
    tolerance: Tolerance = Field(
        default=ABSENT, description="How far measured over target may be from 1: 0.1 by default."
    )


class Behavior(Input):
    """How fast it may grow and shrink: `behavior` of autoscaling/v2."""

    scale_up: Direction = Field(default=ABSENT)
    scale_down: Direction = Field(default=ABSENT)


class Concurrency(Input):
    """Scaling by requests in flight."""

    target: Count = Field(default=1, description="Requests in flight that fill one replica.")
    target_utilization_percentage: Utilization = Field(
        default=70, description="How full a replica should be."
    )
    window_seconds: LoadWindow = Field(default=60, description="What requests in flight are averaged over.")
    scale_down_delay_seconds: Window = Field(
        default=900, description="How long the load must be low before each step down."
    )
    max_scale_down_rate_percent: DownRate = Field(
        default=50, description="What part of the excess one step removes; at least 1 replica."
    )


class Autoscaling(Input):
    """Between `replicas` and `maxReplicas`, by `metrics` or by `concurrency`: one of the two."""

    enabled: bool = Field(default=True, description="false keeps the block and runs `replicas`.")
    max_replicas: MaxReplicas
    metrics: list[Metric] = Field(
        default=ABSENT,
        description="Each at most once; the highest proposal counts. Empty or left out beside `concurrency`.",
    )
    behavior: Behavior = Field(default=ABSENT, description="With `metrics` only.")
    concurrency: Concurrency = Field(default=ABSENT, description="Instead of `metrics`.")


def autoscaling_is_consistent(raw: Mapping[str, Any]) -> Iterator[Issue]:
    resources = mapping(raw.get("resources"))
    autoscaling = resources.get("autoscaling")
    path = ("resources", "autoscaling")
    if not isinstance(autoscaling, dict):
        return
    replicas, most = whole(resources.get("replicas", 1)), whole(autoscaling.get("maxReplicas"))
    if replicas is not None and most is not None and most < replicas:
        message = f"must be at least replicas ({shown((), replicas)})"
        allowed = f"a whole number from {min(max(1, replicas), MAX_REPLICAS)} to {MAX_REPLICAS}"
        yield Issue((*path, "maxReplicas"), message, shown((), most), allowed)
    if "concurrency" in autoscaling:
        yield from _without_metrics(path, autoscaling)
    elif "metrics" not in autoscaling:
        message = "is required (or concurrency, to scale by requests in flight)"
        yield Issue((*path, "metrics"), message, None, ["metrics", "concurrency"])
    elif autoscaling["metrics"] == []:
        yield Issue((*path, "metrics"), "must not be empty", [], ["metrics", "concurrency"])
    yield from _metrics((*path, "metrics"), listing(autoscaling.get("metrics")))


def _without_metrics(path: tuple[str, ...], autoscaling: Mapping[str, Any]) -> Iterator[Issue]:
    for name in ("metrics", "behavior"):
        if name in autoscaling and (name, autoscaling[name]) != ("metrics", []):
            message = f"cannot be beside concurrency, which does not go by {name}: give one of them"
            yield Issue((*path, name), message, shown((), autoscaling[name]), [name, "concurrency"])


def _metrics(path: tuple[str, ...], metrics: list[Any]) -> Iterator[Issue]:
    first: dict[str, int] = {}
    for index, entry in enumerate(metrics):
        name, value = text(mapping(entry).get("metric")), mapping(entry).get("value")
        if name is not None:
            if name in first:
                message = f"{shown((), name)} is scaled by already in entry {first[name]}"
                yield Issue((*path, index, "metric"), message, shown((), name), "each metric once")
            first.setdefault(name, index)
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if name in ("cpu", "memory") and 100 < value < math.inf:
            allowed = f"a percentage from {LOWEST_TARGET} to 100"
            yield Issue((*path, index, "value"), "must be at most 100", shown((), value), allowed)
        if 0 < value < LOWEST_TARGET:
            allowed = f"a number of at least {LOWEST_TARGET}"
            message = f"must be at least {LOWEST_TARGET}"
            yield Issue((*path, index, "value"), message, shown((), value), allowed)
