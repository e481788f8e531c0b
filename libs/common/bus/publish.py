"""Publishing to a stream, with our own errors."""

from collections.abc import Mapping

from faststream.nats import NatsBroker
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from libs.common.errors import LogUnavailable, Permanent

TIMEOUT_S = 5.0


class CannotStore(Permanent):
    """The stream refuses the message; the error says why."""


async def publish_stored(
    broker: NatsBroker, subject: str, body: bytes, headers: Mapping[str, str], *, stream: str
) -> None:
    """Returns when the stream has it. Raises CannotStore, or LogUnavailable when nobody answers."""
    try:
        await broker.publish(body, subject, headers=dict(headers), stream=stream, timeout=TIMEOUT_S)
    except APIError as error:
        if (error.code or 0) >= 500:
            raise LogUnavailable(f"the stream {stream} cannot take a message now: {error}") from error
        raise CannotStore(f"the stream {stream} refuses a message: {error.description}") from error
    except (NatsError, TimeoutError) as error:
        raise LogUnavailable(f"a message to {subject} was not acknowledged: {error!r}") from error
