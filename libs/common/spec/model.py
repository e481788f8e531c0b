"""The spec: one immutable desired state, in its one stored version.

Here are the shapes. `parse.py` turns what a client sent into a `Spec`, or says everything that is wrong.
"""

import re
from functools import lru_cache
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel

from libs.common.scaling.in_force import Scale
from libs.common.spec.bounds import (
    LOWEST_TARGET,
    MAX_PORTS,
    MAX_RATES,
    Count,
    Delay,
    DownRate,
    LoadWindow,
    MaxReplicas,
    MetricWord,
    Period,
    Port,
    RateWord,
    Replicas,
    SelectWord,
    Target,
    Tolerance,
    Utilization,
    Window,
)
from libs.common.spec.text import RESERVED_VARIABLE

T = TypeVar("T")


@lru_cache(maxsize=4096)
def _known(part: Any) -> Any:
    return part


Shared = Annotated[T, AfterValidator(_known)]
"""A part of a spec that is the same in many: they have one object of it, since nobody can change it. Without
that, a service with 10,000 deployments in memory has most of it filled with equal health checks."""


class SpecPart(BaseModel):
    """Camel case on the wire as in the reference API, snake case in code; frozen."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, defer_build=True
    )

    def to_wire(self) -> dict[str, Any]:
        """As the API shows it: every default filled in, what is unset left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class NameValue(SpecPart):
    """An environment variable or a header."""

    name: str
    value: str


class ExecAction(SpecPart):
    """A command that is run in the replica."""

    command: tuple[str, ...] = Field(min_length=1)


class HealthCheck(SpecPart):
    """One probe: HTTP where it has a `path`, a command where it has `exec`; it has one of them.

    `port` is one of the spec's ports; None means the first of them. `host` sets the Host header only, never
    the address that is probed. Times in seconds.
    """

    path: str | None = None
    exec: ExecAction | None = None
    port: Port | None = None
    host: str | None = None
    headers: tuple[NameValue, ...] = ()
    initial_delay_seconds: Delay = 0
    period_seconds: Count = 10
    timeout_seconds: Count = 1
    failure_threshold: Count = 3

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.path is None) is (self.exec is None):
            raise ValueError("has a path or exec, one of them")
        if self.exec is not None and (self.headers or self.host is not None or self.port is not None):
            raise ValueError("has what belongs to an HTTP check beside exec")
        return self

    @model_serializer(mode="wrap")
    def _without_headers_of_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A command is sent no headers: what is shown of it can be submitted again."""
        shown: dict[str, Any] = handler(self)
        if self.exec is not None:
            shown.pop("headers", None)
        return shown


class HealthChecks(SpecPart):
    startup: Shared[HealthCheck | None] = None
    readiness: Shared[HealthCheck | None] = None
    liveness: Shared[HealthCheck | None] = None


class ScalingMetric(SpecPart):
    """`value` is what each replica should have on average: percent of the machine type, or seconds."""

    metric: MetricWord
    summary: str = "average"
    value: Annotated[Target, Field(ge=LOWEST_TARGET)]


class ScalingRate(SpecPart):
    """At most `value` replicas (`Pods`) or percent (`Percent`) within any `period_seconds`."""

    type: RateWord
    value: Count
    period_seconds: Period


class ScalingDirection(SpecPart):
    """How fast it goes up, or down. What is None is as in autoscaling/v2."""

    stabilization_window_seconds: Window | None = None
    select_policy: SelectWord | None = None
    policies: Annotated[tuple[ScalingRate, ...], Field(min_length=1, max_length=MAX_RATES)] | None = None
    tolerance: Tolerance | None = None


class ScalingBehavior(SpecPart):
    scale_up: ScalingDirection | None = None
    scale_down: ScalingDirection | None = None


class ScalingConcurrency(SpecPart):
    """Scaling by requests in flight: `target` of them make a replica full."""

    target: Count = 1
    target_utilization_percentage: Utilization = 70
    window_seconds: LoadWindow = 60
    scale_down_delay_seconds: Window = 900
    max_scale_down_rate_percent: DownRate = 50


class Autoscaling(SpecPart):
    """Between `replicas` and `max_replicas`, by `metrics` or by `concurrency`: one of them is there. On the
    wire `metrics` is in any case, as in the reference API."""

    enabled: bool = True
    max_replicas: MaxReplicas
    metrics: tuple[ScalingMetric, ...] = ()
    behavior: ScalingBehavior | None = None
    concurrency: ScalingConcurrency | None = None

    @model_validator(mode="after")
    def _goes_by_something(self) -> Self:
        names = [metric.metric for metric in self.metrics]
        if self.concurrency is None and not names:
            raise ValueError("has neither metrics nor concurrency")
        if len(set(names)) < len(names):
            raise ValueError("has a metric twice")
        return self


class Resources(SpecPart):
    """`ports[0]` is the endpoint; further ones are reachable inside the cluster only."""

    machine_type: str
    ports: tuple[Port, ...] = Field(min_length=1, max_length=MAX_PORTS)
    replicas: Replicas = 1
    """With autoscaling the floor."""
    autoscaling: Shared[Autoscaling | None] = None
    surge: bool | None = None
    """None for what the machine type says."""


class Spec(SpecPart):
    api_version: str = "v1"
    name: str
    image: Shared[str]
    enabled: bool = True
    command: Shared[tuple[str, ...] | None] = None
    env: Shared[tuple[NameValue, ...]] = ()
    resources: Shared[Resources]
    health_checks: Shared[HealthChecks | None] = None
    region: str | None = None

    @model_validator(mode="after")
    def _leaves_our_variables_alone(self) -> Self:
        for entry in self.env:
            if re.fullmatch(RESERVED_VARIABLE, entry.name):
                raise ValueError(f"sets {entry.name}, which is the platform's")
        return self

    @model_validator(mode="after")
    def _is_checked_at_its_ports(self) -> Self:
        checks = self.health_checks or HealthChecks()
        for check in (checks.startup, checks.readiness, checks.liveness):
            if check is not None and check.port not in (None, *self.resources.ports):
                raise ValueError(f"has a check at {check.port}, which is none of its ports")
        return self

    @property
    def scale(self) -> Scale:
        """What it says about how many replicas there should be, without the stretch that it is in."""
        autoscaling = self.resources.autoscaling
        return Scale(
            self.resources.replicas,
            is_enabled=self.enabled,
            max_replicas=None if autoscaling is None else autoscaling.max_replicas,
            is_autoscaling_enabled=autoscaling is None or autoscaling.enabled,
        )
