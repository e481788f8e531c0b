"""What the router is told."""

from datetime import timedelta

from pydantic import Field

from libs.common.bus.settings import ServiceSettings
from libs.common.cluster.addresses import Addresses


class Settings(ServiceSettings):
    """xds_port: where Envoys connect. edge_port: where Envoy listens for requests; both on 127.0.0.1.

    inner_ports: on which the platform's own services listen on this machine; no replica is ever there.
    drain_deadline_seconds: how long the requests of a leaving replica may take before they are cut.
    """

    xds_port: int = Field(ge=1, le=65535)
    edge_port: int = Field(default=8081, ge=1, le=65535)
    inner_ports: frozenset[int] = frozenset()
    drain_deadline_seconds: float = Field(default=30.0, ge=0, le=86_400)

    @property
    def addresses(self) -> Addresses:
        """Where replicas can be: on the loopback, at none of the platform's own ports."""
        return Addresses(inner_ports=self.inner_ports | {self.xds_port, self.edge_port})

    @property
    def drain_deadline(self) -> timedelta:
        return timedelta(seconds=self.drain_deadline_seconds)
