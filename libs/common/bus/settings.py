"""What every service process is told: where its home, its broker and its cluster are, and how it logs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from libs.common.services import MOST_COPIES
from libs.common.spec.regions import parse_regions


def _regions(given: object) -> object:
    return parse_regions(given) if isinstance(given, str) else given


class ServiceSettings(BaseSettings):
    """Read from `SPECSTREAM_*` environment variables; the same in every service."""

    model_config = SettingsConfigDict(env_prefix="SPECSTREAM_", frozen=True, extra="ignore")

    home: Path = Path("~/.specstream")
    """Directory that holds all state."""
    copy_number: int = Field(default=1, ge=1, le=MOST_COPIES)
    """Which copy of the service this process is; in one home each has a number of its own."""
    nats_url: str = "nats://127.0.0.1:4222"
    """The broker."""
    nats_seed_file: Path | None = None
    """The service's nkey seed."""
    machine_types: Path | None = None
    """The file that lists them; None for the bundled list."""
    otlp_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Where telemetry goes; None sends none."""
    metrics: Literal["otlp", "prometheus"] = "otlp"
    """Whether metrics are sent, or read at a port of each service."""
    metrics_socket: int | None = Field(default=None, ge=3)
    """The descriptor of a socket that listens there already; without one the process makes its own."""
    metrics_deployments: int = Field(default=200, ge=0, le=10_000)
    """How many deployments have series of their own in the metrics of a service."""
    log_level: str = "INFO"
    grace_seconds: float = Field(default=10.0, gt=0, le=3600)
    """Between SIGTERM and SIGKILL."""
    drain_deadline_seconds: float = Field(default=30.0, ge=0, le=86_400)
    """How long the requests of a leaving replica may take before they are cut."""
    cluster: Literal["local", "kubernetes"] = "local"
    kubeconfig: Path | None = None
    """Of a Kubernetes cluster; None for the one whose pod we are in."""
    kube_namespace: str = Field(
        default="specstream-replicas", pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63
    )
    """Where the replicas are there."""
    kube_pod_security: Literal["restricted", "baseline"] = "restricted"
    """The level of the Pod Security Standards that they keep to there."""
    regions: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_regions)] = ()
    """Those that a spec may name: values of the label `topology.kubernetes.io/region` of its nodes."""
    node_lost_seconds: float = Field(default=60.0, ge=10, le=3600)
    """How long a node may be silent there before its replicas are replaced elsewhere. In less than 10 s
    nobody can tell one from all of them."""
