"""What the reconciler is told."""

from pydantic import Field

from libs.common.bus.settings import ServiceSettings
from services.reconciler.moving import MOVE_S
from services.reconciler.stalling import ROLLOUT_S


class Settings(ServiceSettings):
    resync_seconds: float = 30.0
    """Between two comparisons of all deployments with the cluster, which tells of changes at once."""
    move_seconds: float = Field(default=MOVE_S, gt=0, le=3600)
    """How long there may be no place for what replaces a replica on a node that ends."""
    rollout_seconds: float = Field(default=ROLLOUT_S, gt=0, le=604_800)
    """How long it may take until a spec is healthy; its rollout is called stalled then, and goes on."""
