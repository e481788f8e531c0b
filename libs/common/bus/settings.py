"""What every service process is told: where its home and its broker are, and how it logs."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read from `SPECSTREAM_*` environment variables; the same in every service."""

    model_config = SettingsConfigDict(env_prefix="SPECSTREAM_", frozen=True, extra="ignore")

    home: Path = Path("~/.specstream")
    """Directory that holds all state."""
    nats_url: str = "nats://127.0.0.1:4222"
    """The broker."""
    nats_seed_file: Path | None = None
    """The service's nkey seed."""
    otlp_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Where telemetry goes; None sends none."""
    log_level: str = "INFO"
    grace_seconds: float = Field(default=10.0, gt=0, le=3600)
    """Between SIGTERM and SIGKILL."""
