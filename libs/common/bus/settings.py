"""What every service process is told: where its home and its broker are, and how it logs."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read from `SPECSTREAM_*` environment variables; the same in every service.

    home: directory that holds all state. nats_url: the broker. nats_seed_file: the service's nkey seed.
    machine_types: the file that lists them; None for the bundled list.
    otlp_endpoint: where telemetry goes; None sends none. grace_seconds: between SIGTERM and SIGKILL.
    """

    model_config = SettingsConfigDict(env_prefix="SPECSTREAM_", frozen=True, extra="ignore")

    home: Path = Path("~/.specstream")
    nats_url: str = "nats://127.0.0.1:4222"
    nats_seed_file: Path | None = None
    machine_types: Path | None = None
    otlp_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    log_level: str = "INFO"
    grace_seconds: float = Field(default=10.0, gt=0, le=3600)
