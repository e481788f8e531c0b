"""What the use of cpu or memory proposes: the calculation of Kubernetes' HorizontalPodAutoscaler. Pure.

utilisation = sum of the samples x 100 / sum of their requests, rounded down; ratio = utilisation / target.

| ratio   | replicas without sample | unready replicas   | then                                         |
|---------|-------------------------|--------------------|----------------------------------------------|
| any     | none                    | none, or ratio <=1 | current if within tolerance, else            |
|         |                         |                    | ratio x ready, rounded up                    |
| below 1 | count as fully used     | left out           | the ratio is taken again over all that count |
| above 1 | count as idle           | count as idle      | the same                                     |

The ratio that was taken again gives the present number where it is within tolerance, on the other side of 1
than the first one, or where the product would go the other way than it says. Fully used is 100 % of the
request, or the target where that is higher. So what is not known slows a change in either direction and
never turns it round.
"""

from collections.abc import Collection, Mapping

from libs.common.scaling.grouping import CPU_INITIALIZATION_S, INITIAL_READINESS_DELAY_S, group_replicas
from libs.common.scaling.proposals import Proposal, Tolerance, Unknown, require_positive, rounded_up
from libs.common.scaling.replicas import Replica, Resource, Sample

TOLERANCE = Tolerance()


def propose_resource(
    replicas: Collection[Replica],
    samples: Mapping[str, Sample],
    *,
    resource: Resource,
    requests: Mapping[str, int],
    target_percent: float,
    current: int,
    now: float,
    tolerance: Tolerance = TOLERANCE,
    cpu_initialization_s: float = CPU_INITIALIZATION_S,
    initial_readiness_delay_s: float = INITIAL_READINESS_DELAY_S,
) -> Proposal | Unknown:
    """samples, requests: by id of the replica, both in thousandths of the same unit. A sample of a replica
    that is not among them has no request, and is left out of the sums.

    Raises ValueError for a target that is not above 0.
    """
    require_positive("target_percent", target_percent)
    if not samples:
        return Unknown.NO_SAMPLES
    if not replicas:
        return Unknown.NO_REPLICAS
    groups = group_replicas(
        replicas,
        samples,
        resource,
        now=now,
        cpu_initialization_s=cpu_initialization_s,
        initial_readiness_delay_s=initial_readiness_delay_s,
    )
    set_aside = groups.ignored | groups.unready
    used = {name: sample.milli for name, sample in samples.items() if name not in set_aside}
    if not used:
        return Unknown.NO_READY_SAMPLES
    if any(replica.id not in requests for replica in replicas):
        return Unknown.NO_REQUEST
    utilization = _utilization_percent(used, requests)
    if utilization is None:
        return Unknown.NO_MATCHING_SAMPLES
    ratio = utilization / target_percent

    filled = dict(used)
    if ratio < 1.0:
        full_percent = int(max(100, target_percent))
        filled |= {name: requests[name] * full_percent // 100 for name in groups.missing}
    elif ratio > 1.0:
        filled |= dict.fromkeys(groups.missing | groups.unready, 0)

    is_plain = not groups.missing and not (groups.unready and ratio > 1.0)
    counted = groups.ready if is_plain else len(filled)
    counted_ratio = ratio if is_plain else (_utilization_percent(filled, requests) or 0) / target_percent
    wanted = rounded_up(counted_ratio * counted)
    is_held = tolerance.covers(counted_ratio) or (
        not is_plain and _turns_round(ratio, counted_ratio, wanted=wanted, current=current)
    )
    matched = [milli for name, milli in used.items() if name in requests]
    return Proposal(
        replicas=current if is_held else wanted,
        ratio=ratio,
        average=sum(matched) // len(matched),
        utilization_percent=utilization,
        counted_ratio=counted_ratio,
        counted=counted,
        ready=groups.ready,
        unready=len(groups.unready),
        missing=len(groups.missing),
        is_held=is_held,
    )


def _turns_round(ratio: float, counted_ratio: float, *, wanted: int, current: int) -> bool:
    """Whether the ratio with all that count says another direction than what was measured, or leads in
    another."""
    return (
        (ratio < 1.0 < counted_ratio)
        or (counted_ratio < 1.0 < ratio)
        or (counted_ratio < 1.0 and wanted > current)
        or (counted_ratio > 1.0 and wanted < current)
    )


def _utilization_percent(used: Mapping[str, int], requests: Mapping[str, int]) -> int | None:
    """None: nothing of it was requested by anybody."""
    requested = sum(requests[name] for name in used if name in requests)
    if requested == 0:
        return None
    return sum(milli for name, milli in used.items() if name in requests) * 100 // requested
