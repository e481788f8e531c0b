"""Facts of a deployment's traffic, by the routers. Their id is the deployment's."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from libs.common.events.fact import Fact, MadeId
from libs.common.services import MOST_ROUTERS, ROUTER, number_of


class TrafficFact(Fact):
    aggregate: ClassVar[str] = "traffic"


class WithdrawReason(StrEnum):
    IDLE = "idle"
    """No request was active on the replicas any more."""
    DEADLINE = "drain_deadline"
    """Requests were still active when the drain deadline passed; they are cut."""


class EndpointsWithdrawn(TrafficFact):
    """Every Envoy of one router has taken `replica_ids` out of routing. They may be stopped when every router
    that has joined has said so.

    replica_ids: all that this router has withdrawn and that still exist. active_requests: requests cut by the
    deadline. router: whose word it is; events of version 1, which had no name, are of the first router. The
    newest word of each router counts, so the subjects of all but the first one's end with their number.
    """

    version: ClassVar[int] = 2
    earlier_versions: ClassVar[tuple[int, ...]] = (1,)
    is_paged: ClassVar[bool] = True

    replica_ids: tuple[MadeId, ...]
    reason: WithdrawReason
    active_requests: int = 0
    router: Annotated[str, Field(pattern=rf"^{ROUTER}(-[2-{MOST_ROUTERS}])?$")] = ROUTER

    def subject_page(self) -> int | None:
        return None if self.router == ROUTER else number_of(self.router)
