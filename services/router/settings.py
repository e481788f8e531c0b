"""What the router is told."""

from pathlib import Path

from pydantic import Field

from libs.common.bus.settings import ServiceSettings
from libs.common.cluster.addresses import Addresses


class Settings(ServiceSettings):
    envoy_folder: Path
    """Where the router and its Envoy meet (`meeting_place.py`)."""
    edge_port: int = Field(default=8081, ge=1, le=65535)
    """Where Envoy listens for requests, on the loopback."""
    inner_ports: frozenset[int] = frozenset()
    """Ports on which the platform's own services listen on this machine; no replica is ever there."""
    upload_deadline_seconds: float = Field(default=600.0, gt=0, le=86_400)
    """How long a client may take to send a request, its body included."""

    @property
    def addresses(self) -> Addresses:
        """Where replicas can be; at none of the platform's own ports where they are on this machine."""
        return Addresses.of(self.cluster, inner_ports=self.inner_ports | {self.edge_port})
