"""How much work waits in a durable consumer, for whoever watches the platform."""

import asyncio
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from libs.common import telemetry

LOOKED_S: Final = 15.0
ANSWER_S: Final = 5.0


async def watch_waiting(client: Client, *, stream: str, durable: str, service: str) -> None:
    """Never returns. service: whose durable it is. While the broker does not answer nothing is known."""
    gauge = telemetry.gauge(
        "specstream.work.waiting",
        unit="{message}",
        description="Messages of a durable consumer that are not handled yet",
    )
    jetstream = client.jetstream(timeout=ANSWER_S)
    while True:
        try:
            info = await jetstream.consumer_info(stream, durable)
        except NatsError:
            gauge.tell(None, {"service": service})
        else:
            gauge.tell((info.num_pending or 0) + (info.num_ack_pending or 0), {"service": service})
        await asyncio.sleep(LOOKED_S)
