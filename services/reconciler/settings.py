"""What the reconciler is told."""

from libs.common.bus.settings import ServiceSettings


class Settings(ServiceSettings):
    resync_seconds: float = 10.0
    """The time between two comparisons of all deployments with the cluster; events come at once."""
