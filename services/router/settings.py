"""What the router is told."""

from pathlib import Path

from pydantic import Field

from libs.common.bus.settings import ServiceSettings


class Settings(ServiceSettings):
    """envoy_folder: where the router and its Envoy meet (`meeting_place.py`). edge_port: where Envoy listens
    for requests, on 127.0.0.1.

    drain_deadline_seconds: how long the requests of a leaving replica may take before they are cut.
    upload_deadline_seconds: how long a client may take to send a request, its body included.
    """

    envoy_folder: Path
    edge_port: int = Field(default=8081, ge=1, le=65535)
    drain_deadline_seconds: float = Field(default=30.0, ge=0, le=86_400)
    upload_deadline_seconds: float = Field(default=600.0, gt=0, le=86_400)
