"""What the router is told."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from libs.common.bus.settings import ServiceSettings
from libs.common.cluster.addresses import Addresses
from libs.common.domain import USUAL, parse_domain
from libs.common.services import MOST_ROUTERS, ROUTER, copy_name


class Settings(ServiceSettings):
    envoy_folder: Path
    """Where the router and its Envoy meet (`meeting_place.py`)."""
    domain: Annotated[str, AfterValidator(parse_domain)] = USUAL
    """That of the host names which Envoy serves."""
    edge_port: int = Field(default=8081, ge=1, le=65535)
    """Where Envoy listens for requests, on the loopback."""
    routers: int = Field(default=1, ge=1, le=MOST_ROUTERS)
    """How many routers the platform has; this one is called by its copy number."""
    inner_ports: frozenset[int] = frozenset()
    """Ports on which the platform's own services listen on this machine; no replica is ever there."""
    upload_deadline_seconds: float = Field(default=600.0, gt=0, le=86_400)
    """How long a client may take to send a request, its body included."""

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.copy_number > self.routers:
            raise ValueError(
                f"SPECSTREAM_COPY_NUMBER is {self.copy_number}, and SPECSTREAM_ROUTERS {self.routers}: the "
                f"routers of a platform are numbered from 1, and every one is told how many there are"
            )
        return self

    @property
    def router(self) -> str:
        """The name of this router, by which its words are known."""
        return copy_name(ROUTER, self.copy_number)

    @property
    def addresses(self) -> Addresses:
        """Where replicas can be; at none of the platform's own ports where they are on this machine."""
        return Addresses.of(self.cluster, inner_ports=self.inner_ports | {self.edge_port})
