"""What health is told."""

from libs.common.bus.settings import ServiceSettings
from libs.common.cluster.addresses import Addresses


class Settings(ServiceSettings):
    """Checks and their numbers come with each spec."""

    inner_ports: frozenset[int] = frozenset()
    """Ports on which the platform's own services listen on this machine; no replica is ever there."""

    @property
    def addresses(self) -> Addresses:
        return Addresses.of(self.cluster, inner_ports=self.inner_ports)
