"""What the reconciler is told."""

from libs.common.bus.settings import ServiceSettings


class Settings(ServiceSettings):
    """resync_seconds: between two comparisons of all deployments with the cluster; events come at once."""

    resync_seconds: float = 10.0
