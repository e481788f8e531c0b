"""What health is told."""

from pydantic import Field

from libs.common.bus.settings import ServiceSettings
from libs.common.cluster.addresses import Addresses


class Settings(ServiceSettings):
    """Checks and their numbers come with each spec."""

    inner_ports: frozenset[int] = frozenset()
    """Ports on which the platform's own services listen on this machine; no replica is ever there."""

    usage_seconds: float = Field(default=15.0, ge=0.5, le=300)
    """Between two measurements of what the replicas use."""

    @property
    def addresses(self) -> Addresses:
        return Addresses.of(self.cluster, inner_ports=self.inner_ports)
