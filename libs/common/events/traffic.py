"""Facts of a deployment's traffic, by the router. Their id is the deployment's."""

from enum import StrEnum
from typing import ClassVar

from libs.common.events.fact import Fact


class TrafficFact(Fact):
    aggregate: ClassVar[str] = "traffic"


class WithdrawReason(StrEnum):
    IDLE = "idle"
    """No request was active on the replicas any more."""
    DEADLINE = "drain_deadline"
    """Requests were still active when the drain deadline passed; they are cut."""


class EndpointsWithdrawn(TrafficFact):
    """Every connected Envoy has taken `replica_ids` out of routing: they may be stopped.

    replica_ids: all withdrawn replicas that still exist. active_requests: requests cut by the deadline.
    """

    replica_ids: tuple[str, ...]
    reason: WithdrawReason
    active_requests: int = 0
