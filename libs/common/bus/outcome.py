"""From a handler's exception to an answer to the broker: the one place that decides it."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from faststream.exceptions import NackMessage, RejectMessage
from faststream.middlewares import BaseMiddleware
from nats.aio.msg import Msg

from libs.common.errors import Permanent

logger = structlog.get_logger()


def retry_delay_s(deliveries: int) -> float:
    """0.1 s, doubling, at most 10 s: how long a message waits that could not be handled now."""
    return float(min(0.1 * 2 ** min(deliveries - 1, 16), 10.0))


class Outcome(BaseMiddleware[Any, Any]):
    """A permanent failure parks the message, any other is tried again later.

    Every unexpected error is tried again too, until `max_deliver` parks the message: a poison message
    blocks nobody else, and a bug that a later start of the service no longer has loses nothing.
    A signal (no JetStream message) is dropped with a warning.
    """

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        raw: Msg = msg.raw_message
        try:
            return await call_next(msg)
        except (NackMessage, RejectMessage):
            raise
        except Permanent as error:
            logger.exception("message parked", subject=raw.subject, reason=str(error))
            raise RejectMessage from error
        except Exception as error:
            if not raw.reply.startswith("$JS.ACK"):
                logger.warning("signal dropped", subject=raw.subject, error=str(error))
                return None
            deliveries = raw.metadata.num_delivered or 1
            delay = retry_delay_s(deliveries)
            logger.warning(
                "message will be tried again",
                subject=raw.subject,
                deliveries=deliveries,
                delay_s=delay,
                error=str(error),
                error_type=type(error).__name__,
            )
            raise NackMessage(delay=delay) from error
