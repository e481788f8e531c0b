"""What a deployment is scaled by, and what is measured for it. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.common.scaling.behavior import DOWN_WINDOW_S, Behavior
from libs.common.scaling.grouping import CPU_INITIALIZATION_S, INITIAL_READINESS_DELAY_S
from libs.common.scaling.proposals import Tolerance, require_positive
from libs.common.scaling.replicas import Resource, Sample
from libs.common.scaling.request_duration import REQUEST_WINDOW_S, RequestDuration

LOWEST_TARGET_US = 1000


@dataclass(frozen=True, slots=True)
class ResourceMetric:
    """The average use of a resource. Raises ValueError for a target that is not above 0."""

    resource: Resource
    target_percent: float
    """Of what each replica was created with."""

    def __post_init__(self) -> None:
        require_positive("target_percent", self.target_percent)

    @property
    def name(self) -> str:
        return self.resource.value


@dataclass(frozen=True, slots=True)
class DurationMetric:
    """The average duration of requests. Raises ValueError for a target below a thousandth of a second."""

    target_us: int

    def __post_init__(self) -> None:
        if self.target_us < LOWEST_TARGET_US:
            raise ValueError(f"target_us is {self.target_us}: it must be at least {LOWEST_TARGET_US}")

    @property
    def name(self) -> str:
        return "requestDuration"


Metric = ResourceMetric | DurationMetric


@dataclass(frozen=True, slots=True)
class HpaPolicy:
    """Raises ValueError without a metric, and where one is there twice."""

    metrics: tuple[Metric, ...]
    behavior: Behavior | None = None
    """None: the published algorithm without `behavior`, which is not the same as with the default one."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    """Where `behavior` has none of its own."""
    down_window_s: float = DOWN_WINDOW_S
    """Without `behavior`: for how long the highest recommendation counts."""
    cpu_initialization_s: float = CPU_INITIALIZATION_S
    initial_readiness_delay_s: float = INITIAL_READINESS_DELAY_S
    request_window_s: float = REQUEST_WINDOW_S
    """What request durations are averaged over."""

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        if not names:
            raise ValueError("metrics is empty: at least 1 is needed")
        if len(set(names)) < len(names):
            raise ValueError(f"metrics are {', '.join(names)}: each may be there once")

    @property
    def longest_window_s(self) -> float:
        """How far back any recommendation counts."""
        if self.behavior is None:
            return self.down_window_s
        return max(self.behavior.scale_up.window_s, self.behavior.scale_down.window_s)

    @property
    def tolerances(self) -> Tolerance:
        if self.behavior is None:
            return self.tolerance
        up, down = self.behavior.scale_up.tolerance, self.behavior.scale_down.tolerance
        return Tolerance(
            up=self.tolerance.up if up is None else up,
            down=self.tolerance.down if down is None else down,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What the metrics of one deployment rest on."""

    samples: Mapping[Resource, Mapping[str, Sample]] = field(default_factory=dict)
    """By resource, then by id of the replica. Only those that are fresh enough to count."""
    duration: RequestDuration | None = None
    """None: nothing was measured, which is not the same as no request."""
