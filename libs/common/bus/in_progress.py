"""How a worker says that it is still at work on a message, so that nobody else is given it meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from faststream.nats import NatsMessage
from nats.errors import Error as NatsError

logger = structlog.get_logger()

EVERY_S = 1.0
"""Well below any durable's `ack_wait`."""


@asynccontextmanager
async def in_progress(message: NatsMessage, *, every_s: float = EVERY_S) -> AsyncIterator[None]:
    """For as long as the block runs. A broker that is away is told again later."""

    async def say_so() -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await message.in_progress()
            except NatsError as error:
                logger.debug("could not say that a message is in progress", error=str(error))

    saying = asyncio.ensure_future(say_so())
    try:
        yield
    finally:
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
