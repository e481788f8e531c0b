"""From a handler's exception to an answer to the broker: the one place that decides it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from faststream.exceptions import NackMessage, RejectMessage
from faststream.middlewares import BaseMiddleware
from faststream.nats import NatsMessage

from libs.common.back_off import BackOff
from libs.common.bus.statuses import STORED
from libs.common.errors import Permanent

logger = structlog.get_logger()


RETRIES: Final = BackOff(0.1, 10.0)


def retry_delay_s(deliveries: int) -> float:
    """How long a message waits that could not be handled now."""
    return RETRIES.pause_s(deliveries)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the broker is told of a message that failed."""

    delay_s: float | None
    """Until the next try; None parks it."""


def answer_to(error: Exception, *, subject: str, deliveries: int) -> Answer:
    """A permanent failure parks the message, any other is tried again later. Says so in the log."""
    if isinstance(error, Permanent):
        logger.error("message parked", subject=subject, reason=str(error), exc_info=error)
        return Answer(None)
    delay_s = retry_delay_s(deliveries)
    logger.warning(
        "message will be tried again",
        subject=subject,
        deliveries=deliveries,
        delay_s=delay_s,
        error=str(error),
        error_type=type(error).__name__,
    )
    return Answer(delay_s)


class Outcome(BaseMiddleware[Any, Any]):
    """A permanent failure parks the message, any other is tried again later.

    Every unexpected error is tried again too, until `max_deliver` parks the message: a poison message
    blocks nobody else, and a bug that a later start of the service no longer has loses nothing.
    A signal (no JetStream message) is dropped with a warning.

    The broker is told here, whoever answers for the messages that are handled: what cannot even be decoded
    reaches no handler.
    """

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        message: NatsMessage = msg
        raw = message.raw_message
        try:
            return await call_next(message)
        except (NackMessage, RejectMessage):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the broker is told, and others go on
            if not raw.reply.startswith(STORED):
                logger.warning("signal dropped", subject=raw.subject, error=str(error))
                return None
            answer = answer_to(error, subject=raw.subject, deliveries=raw.metadata.num_delivered or 1)
            if answer.delay_s is None:
                await message.reject()
            else:
                await message.nack(delay=answer.delay_s)
            return None
