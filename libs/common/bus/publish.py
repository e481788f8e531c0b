"""Publishing to a stream, with our own errors."""

from collections.abc import Awaitable, Callable, Mapping

from faststream.nats import JStream, NatsBroker
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from pydantic import BaseModel

from libs.common.errors import LogUnavailable, Permanent

TIMEOUT_S = 5.0


class CannotStore(Permanent):
    """The stream refuses the message; the error says why."""


def stored_publisher(
    broker: NatsBroker, subject: str, model: type[BaseModel], *, stream: str, title: str, description: str
) -> Callable[[str, bytes, Mapping[str, str]], Awaitable[None]]:
    """Publishes bodies that are `model` as JSON: to a subject like `subject`, with headers.

    The stream exists already. title, description: for the AsyncAPI document.
    What it returns is done when the stream has the message. It raises CannotStore, or LogUnavailable when
    nobody answers.
    """
    publisher = broker.publisher(
        subject,
        stream=JStream(stream, declare=False),
        timeout=TIMEOUT_S,
        schema=model,
        title=title,
        description=description,
    )

    async def publish(subject: str, body: bytes, headers: Mapping[str, str]) -> None:
        try:
            await publisher.publish(body, subject, headers=dict(headers))
        except APIError as error:
            if (error.code or 0) >= 500:
                raise LogUnavailable(f"the stream {stream} cannot take a message now: {error}") from error
            raise CannotStore(f"the stream {stream} refuses a message: {error.description}") from error
        except (NatsError, TimeoutError) as error:
            raise LogUnavailable(f"a message to {subject} was not acknowledged: {error!r}") from error

    return publish
