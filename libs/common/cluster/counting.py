"""How many replicas a plan still lacks. Pure; the same for every cluster that counts by itself."""

from collections.abc import Iterable

from libs.common.cluster.port import RunWorkload, Workload


def missing(workload: Workload, present: Iterable[tuple[str, str]]) -> list[RunWorkload]:
    """The run of each replica that has to be created, given (replica_id, run_id) of those that were not told
    to end. Retiring and stopping ones do not count; too many are left alone."""
    leaving = workload.retiring | workload.stopping
    counted = [run_id for replica_id, run_id in present if replica_id not in leaving]
    return [run for run in workload.runs for _ in range(run.replicas - counted.count(run.run_id))]
