"""What the autoscaler is told."""

from libs.common.bus.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing beyond what every service is told."""
