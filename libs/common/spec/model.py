"""The spec: one immutable desired state, in its one stored version.

Here are the shapes. `parse.py` turns what a client sent into a `Spec`, or says everything that is wrong.
"""

from functools import lru_cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")


@lru_cache(maxsize=4096)
def _known(part: Any) -> Any:
    return part


Shared = Annotated[T, AfterValidator(_known)]
"""A part of a spec that is the same in many: they have one object of it, since nobody can change it. Without
that, a service with 10,000 deployments in memory has most of it filled with equal health checks."""


def wanted_replicas(*, enabled: bool, replicas: int) -> int:
    """How many replicas should run: none while disabled."""
    return replicas if enabled else 0


class SpecPart(BaseModel):
    """Camel case on the wire as in the reference API, snake case in code; frozen."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    def to_wire(self) -> dict[str, Any]:
        """As the API shows it: every default filled in, what is unset left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class NameValue(SpecPart):
    """An environment variable or a header."""

    name: str
    value: str


class HealthCheck(SpecPart):
    """One HTTP probe. `port` is one of the spec's ports; None means the first of them.

    `host` sets the Host header only, never the address that is probed. Times in seconds.
    """

    path: str
    port: int | None = None
    host: str | None = None
    headers: tuple[NameValue, ...] = ()
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3


class HealthChecks(SpecPart):
    startup: Shared[HealthCheck | None] = None
    readiness: Shared[HealthCheck | None] = None
    liveness: Shared[HealthCheck | None] = None


class Resources(SpecPart):
    """`ports[0]` is the endpoint; further ones are reachable inside the cluster only."""

    machine_type: str
    ports: tuple[int, ...] = Field(min_length=1)
    replicas: int = 1
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

    @property
    def wanted_replicas(self) -> int:
        return wanted_replicas(enabled=self.enabled, replicas=self.resources.replicas)
