"""What pods use, as metrics.k8s.io has it: a rate, which the source has measured. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.pods import Pod
from libs.common.cluster.kubernetes.quantities import quantity, seconds
from libs.common.cluster.usage import Used

JSON = Mapping[str, Any]

GIB: Final = 1024**3

OVER_THE_LIMIT: Final = 2.0
"""A container cannot use more than its limits; twice that is a mistake, not a moment in which it did."""


def used(metrics: Sequence[JSON], pods: Mapping[str, Pod]) -> Iterator[Used]:
    """metrics: `PodMetrics` objects. pods: the replicas, by the names of their pods.

    What was measured of a container before its present one is left out, and so is a pod of which the source
    does not say what its one container used.
    """
    for one in metrics:
        pod = pods.get(one["metadata"]["name"])
        usage = next((c["usage"] for c in one.get("containers") or () if c["name"] == names.CONTAINER), None)
        if pod is None or usage is None:
            continue
        ended_at = datetime.fromisoformat(one["timestamp"]).timestamp()
        window_s = seconds(one.get("window") or "")
        started_at = pod.container.started_at
        if started_at is None or ended_at - window_s < started_at.timestamp() - 1.0:
            continue
        yield Used(
            deployment_id=pod.deployment_id,
            replica_id=pod.replica_id,
            attempt=pod.container.restarts,
            ended_at=ended_at,
            window_s=window_s,
            cpu_cores=quantity(str(usage.get("cpu", ""))),
            memory_bytes=quantity(str(usage.get("memory", ""))),
            cpus=pod.cpus,
            memory_gib=pod.memory_gib,
            most_cpus=pod.cpus and pod.cpus * OVER_THE_LIMIT,
            most_memory_bytes=pod.memory_gib and pod.memory_gib * GIB * OVER_THE_LIMIT,
        )
