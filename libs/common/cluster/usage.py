"""What a replica used, as a cluster shows it: nothing is checked yet. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UsedGpu:
    """gpu: its index on the machine. utilization_percent, memory_bytes: of the whole GPU, by this replica's
    processes; None where it is not known. most_memory_bytes: what the GPU has."""

    gpu: int
    utilization_percent: float | None = None
    memory_bytes: float | None = None
    most_memory_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """attempt: of the process that was measured.

    cpu_cores: average number of cores over the `window_s` seconds that ended at `ended_at`; None where it is
    not known, as at a first look. memory_bytes: anonymous and shared memory, without the cache of files.
    ended_at: seconds since 1970, by the clock of the source. The same time again is the same sample again.
    cpus, memory_gib: of the machine type with which the replica was created; None where that is not known.
    most_cpus, most_memory_bytes: what no replica here can exceed; None where that is not known.
    gpus: those that it has processes on, where that is known.
    """

    deployment_id: str
    replica_id: str
    attempt: int
    ended_at: float
    window_s: float
    cpu_cores: float | None
    memory_bytes: float | None
    cpus: float | None = None
    memory_gib: float | None = None
    most_cpus: float | None = None
    most_memory_bytes: float | None = None
    gpus: tuple[UsedGpu, ...] = ()
