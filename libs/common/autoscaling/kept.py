"""What is kept of each deployment's scaling beside the log: the present reasoning, and the memory behind it.

It lies in a bucket of its own, one entry for each deployment under its id. Nothing is decided by it alone,
and whatever is lost of it is worked out again. The autoscaler writes it, the api reads it.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from libs.common.autoscaling.present import Present
from libs.common.bus.entries import Entries

logger = structlog.get_logger()


class Kept(BaseModel):
    """memory: as the autoscaler wrote it; nobody else reads it."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    present: Present
    memory: Mapping[str, Any] = {}


class PresentReasoning(Protocol):
    async def present(self, deployment_id: str) -> Present | None:
        """None where nothing is kept. Raises LogUnavailable."""
        ...


class KeptReasoning:
    """A `PresentReasoning` over the bucket."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    async def present(self, deployment_id: str) -> Present | None:
        entry = await self._entries.get(deployment_id)
        kept = None if entry is None else read_kept(deployment_id, entry.data)
        return None if kept is None else kept.present


def read_kept(deployment_id: str, data: bytes) -> Kept | None:
    """None for what is not one: another version may have written it."""
    try:
        return Kept.model_validate_json(data)
    except ValidationError as error:
        logger.warning(
            "what is kept of scaling is not understood", deployment_id=deployment_id, error=str(error)[:500]
        )
        return None
