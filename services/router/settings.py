"""What the router is told."""

from datetime import timedelta

from pydantic import Field

from libs.common.bus.settings import ServiceSettings


class Settings(ServiceSettings):
    """xds_port: where Envoys connect. edge_port: where Envoy listens for requests; both on 127.0.0.1.

    drain_deadline_seconds: how long the requests of a leaving replica may take before they are cut.
    """

    xds_port: int = Field(ge=1, le=65535)
    edge_port: int = Field(default=8081, ge=1, le=65535)
    drain_deadline_seconds: float = Field(default=30.0, ge=0, le=86_400)

    @property
    def drain_deadline(self) -> timedelta:
        return timedelta(seconds=self.drain_deadline_seconds)
