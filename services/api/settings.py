"""What the api process is told besides what every service is told."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from libs.common.bus.settings import ServiceSettings
from libs.common.domain import USUAL, parse_domain
from libs.common.scaling.request_duration import REQUEST_WINDOW_S
from libs.common.services import MOST_COPIES, MOST_ROUTERS

MAX_BODY_BYTES = 256 * 1024
"""A larger request body is answered with 413."""


class Settings(ServiceSettings):
    """api_port: where REST listens, on 127.0.0.1. api_socket: the descriptor of a socket that listens there
    already; without one the api makes its own. api_key: the bearer token.

    edge_port: where Envoy listens, for the endpoints of deployments. domain: that of their host names.
    copies: how many there are to be of each service that may have several. routers: how many routers.
    disk_reserve_mib: of the reserve that the supervisor keeps beside the log, in this home; None where there
    is no supervisor, and so no disk of this machine to look at.
    metrics_max_bytes: the room of what was measured, on the disk; of less the write-ahead log would be much.
    request_window_seconds: what request durations are averaged over, as the autoscaler is told.
    visible_timeout_s: how long a write waits until reads show it, after it is durable.
    """

    api_port: int = Field(default=8080, ge=1, le=65535)
    api_socket: int | None = Field(default=None, ge=3)
    api_key: SecretStr = Field(min_length=1)
    domain: Annotated[str, AfterValidator(parse_domain)] = USUAL
    edge_port: int = Field(default=8081, ge=1, le=65535)
    copies: int = Field(default=1, ge=1, le=MOST_COPIES)
    routers: int = Field(default=1, ge=1, le=MOST_ROUTERS)
    disk_reserve_mib: int | None = Field(default=None, ge=0)
    metrics_max_bytes: int = Field(default=1024**3, ge=64 * 1024**2, le=1024**4)
    request_window_seconds: float = Field(default=REQUEST_WINDOW_S, ge=1, le=3600)
    visible_timeout_s: float = Field(default=10.0, gt=0)
