"""Which replicas a measurement may count on: the grouping of Kubernetes' HorizontalPodAutoscaler. Pure.

The first row that fits decides.

| replica                                                                      | group   |
|------------------------------------------------------------------------------|---------|
| is leaving, or failed                                                        | ignored |
| is pending                                                                   | unready |
| has no sample                                                                | missing |
| another resource than cpu                                                    | ready   |
| was never started, or nothing is known of its readiness                      | unready |
| started less than the CPU initialisation period ago, and                     |         |
| - is not ready                                                               | unready |
| - its sample ended before a whole window had passed since it became ready    | unready |
| started longer ago, is not ready, and became so before the initial readiness | unready |
| delay had passed since its start: it was never ready                         |         |
| anything else                                                                | ready   |

So the heat of starting up is no load, and a replica that is overloaded until it fails its check still is.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from libs.common.scaling.replicas import Phase, Replica, Resource, Sample

CPU_INITIALIZATION_S = 300.0
INITIAL_READINESS_DELAY_S = 30.0


@dataclass(frozen=True, slots=True)
class Groups:
    """Every replica is in exactly one. Those that are ready are only counted."""

    ready: int = 0
    unready: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


def group_replicas(
    replicas: Iterable[Replica],
    samples: Mapping[str, Sample],
    resource: Resource,
    *,
    now: float,
    cpu_initialization_s: float = CPU_INITIALIZATION_S,
    initial_readiness_delay_s: float = INITIAL_READINESS_DELAY_S,
) -> Groups:
    """samples: by id of the replica. The order of neither matters."""
    ready = 0
    unready, missing, ignored = set[str](), set[str](), set[str]()
    for replica in replicas:
        sample = samples.get(replica.id)
        if replica.is_leaving or replica.phase is Phase.FAILED:
            ignored.add(replica.id)
        elif replica.phase is Phase.PENDING:
            unready.add(replica.id)
        elif sample is None:
            missing.add(replica.id)
        elif resource is Resource.CPU and not _cpu_counts(
            replica,
            sample,
            now=now,
            cpu_initialization_s=cpu_initialization_s,
            initial_readiness_delay_s=initial_readiness_delay_s,
        ):
            unready.add(replica.id)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _cpu_counts(
    replica: Replica,
    sample: Sample,
    *,
    now: float,
    cpu_initialization_s: float,
    initial_readiness_delay_s: float,
) -> bool:
    if replica.is_ready is None or replica.started_at is None:
        return False
    changed_at = -math.inf if replica.ready_changed_at is None else replica.ready_changed_at
    if replica.started_at + cpu_initialization_s > now:
        return replica.is_ready and now - sample.age_s >= changed_at + sample.window_s
    return replica.is_ready or replica.started_at + initial_readiness_delay_s <= changed_at
