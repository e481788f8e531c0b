"""What is examined: the processes of replicas, and how their checks stand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from services.health.examination import Conclusion, Examination
from services.health.probe_request import Endpoint
from services.health.probing import CheckKind, Outcome, Standing


@dataclass(frozen=True, slots=True)
class Made:
    """The newest attempt of a check: when it ended, and how long it took."""

    outcome: Outcome
    at: datetime
    latency_s: float


@dataclass(frozen=True, slots=True)
class CheckSeen:
    """How a check of a process stands. last: None before its first attempt."""

    kind: CheckKind
    standing: Standing
    failures: int
    last: Made | None


@dataclass(slots=True, eq=False)
class ProbedProcess:
    """One process of a replica under examination."""

    deployment_id: str
    replica_id: str
    attempt: int
    host: str
    ports: Mapping[int, int]
    first_port: int
    started_at: float
    """When it was started, on our ticks."""
    exam: Examination
    conclusion: Conclusion
    ready_since: float | None
    """Since when the conclusion is that it is ready, on our ticks; None while it is not."""
    port_retries: dict[CheckKind, int] = field(default_factory=dict)
    """How often a check's port was found closed outside of its period."""
    busy: set[CheckKind] = field(default_factory=set)
    made: dict[CheckKind, Made] = field(default_factory=dict)
    is_gone: bool = False

    def endpoint(self, kind: CheckKind) -> Endpoint:
        """The replica's own address for the port that the check names."""
        port = self.exam.checks[kind].port or self.first_port
        return Endpoint(self.host, self.ports[port])


class Attempt(NamedTuple):
    """One attempt of a check."""

    process: ProbedProcess
    kind: CheckKind
    is_eager: bool = False
    """Whether it is made outside of the check's period, so that only a success counts."""
