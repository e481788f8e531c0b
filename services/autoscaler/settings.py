"""What the autoscaler is told."""

from pydantic import Field

from libs.common.bus.settings import ServiceSettings
from libs.common.scaling.grouping import CPU_INITIALIZATION_S, INITIAL_READINESS_DELAY_S
from libs.common.scaling.request_duration import REQUEST_WINDOW_S


class Settings(ServiceSettings):
    """Everything else comes with each spec."""

    request_window_seconds: float = Field(default=REQUEST_WINDOW_S, ge=1, le=3600)
    """What the duration of requests is averaged over."""
    cpu_initialization_seconds: float = Field(default=CPU_INITIALIZATION_S, ge=0, le=3600)
    """For how long after its start the cpu of a replica that is not ready is no load."""
    initial_readiness_delay_seconds: float = Field(default=INITIAL_READINESS_DELAY_S, ge=0, le=3600)
    """A replica that ceased to be ready within so long after its start never was."""
