"""What is known of a replica and what was measured of it. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """Where a replica is in its life; the phases of a Kubernetes pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Resource(StrEnum):
    CPU = "cpu"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica, as the grouping and the proposals see it."""

    id: str
    phase: Phase = Phase.RUNNING
    started_at: float | None = None
    """When it was started; None while it was not."""
    is_ready: bool | None = None
    """None: nothing was said about its readiness yet."""
    ready_changed_at: float | None = None
    """Since when `is_ready` has been what it is; None: since before anything is known."""
    is_leaving: bool = False
    """It was asked to go, so it is not counted on."""
    requests: Mapping[Resource, int] = field(default_factory=dict)
    """What 100 % of each resource is for it, in thousandths: what it was created with."""

    @property
    def serves(self) -> bool:
        return self.phase is Phase.RUNNING and self.is_ready is True and not self.is_leaving


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one resource of one replica. Raises ValueError for less than nothing."""

    milli: int
    """In thousandths: 250 is a quarter of a core."""
    age_s: float = 0.0
    """How long ago the window of the measurement ended."""
    window_s: float = 60.0
    """How long a stretch the measurement averages."""

    def __post_init__(self) -> None:
        if self.milli < 0:
            raise ValueError(f"milli is {self.milli}: it must be at least 0")


@dataclass(frozen=True, slots=True)
class Bounds:
    """`minimum` <= replicas <= `maximum`. Raises ValueError where that holds for no number."""

    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum:
            raise ValueError(f"bounds {self.minimum} to {self.maximum}: 0 <= minimum <= maximum must hold")

    def clamp(self, replicas: int) -> int:
        return min(max(replicas, self.minimum), self.maximum)


def fresh(samples: Mapping[str, Sample], *, max_age_s: float) -> dict[str, Sample]:
    """The samples that are at most that old. What is left out counts as missing, as if it was never
    measured."""
    return {replica_id: sample for replica_id, sample in samples.items() if sample.age_s <= max_age_s}
