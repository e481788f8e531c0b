"""The one connection of a service to the broker: FastStream owns it, the log shares it."""

import logging
from contextlib import suppress

import structlog
from faststream.nats import NatsBroker
from faststream.nats.security import NatsNKey
from nats.errors import Error as NatsError

from libs.common import telemetry
from libs.common.bus.outcome import Outcome
from libs.common.bus.settings import ServiceSettings
from libs.common.bus.statuses import tell_them_apart

logger = structlog.get_logger()

RECONNECT_WAIT_S = 0.25
"""nats-py's own 2 s would be most of the time that a broker needs to come back."""


def inbox_prefix(service: str) -> str:
    """Each service receives answers under a prefix of its own, which the broker's permissions name."""
    return f"_INBOX_{service}"


def make_broker(settings: ServiceSettings, *, service: str) -> NatsBroker:
    """Not yet connected: `client = await broker.connect()` gives the client that the log takes.

    Never gives up reconnecting. What the broker complains of (a denied publish shows only so) is logged
    and counted.
    """
    tell_them_apart()
    complaints = telemetry.counter(
        "specstream.bus.errors", unit="{error}", description="Errors that the broker reported"
    )

    async def on_error(error: Exception) -> None:
        complaints.add(1, {"service": service})
        logger.warning("broker reported an error", error=str(error), error_type=type(error).__name__)

    security = NatsNKey(settings.nats_seed_file) if settings.nats_seed_file else None
    return NatsBroker(
        settings.nats_url,
        name=service,
        security=security,
        inbox_prefix=inbox_prefix(service),
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # annotated int, slept as it is
        error_cb=on_error,
        middlewares=[Outcome],
        logger=logging.getLogger("specstream.bus"),
        # Received and Processed, two lines for each message, are ticks: we log transitions.
        log_level=logging.DEBUG,
        graceful_timeout=5.0,
    )


async def close(broker: NatsBroker) -> None:
    """Finish what runs and leave; a broker that is already away is no reason to fail at the end."""
    with suppress(NatsError, TimeoutError):
        await broker.stop()
