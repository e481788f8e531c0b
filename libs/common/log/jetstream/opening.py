"""The log as a service opens it."""

from nats.aio.client import Client

from libs.common.log.consumer_names import names_of
from libs.common.log.jetstream.log import JetStreamLog
from libs.common.log.jetstream.stuck import Tell


def open_log(
    client: Client, service: str, *, on_stuck: Tell, on_unread: Tell, deadline_s: float = 30.0
) -> JetStreamLog:
    """In the service's name and by its consumers. on_stuck: is told when the log cannot be followed.
    on_unread: what is read and not understood."""
    return JetStreamLog(
        client,
        source=f"specstream/{service}",
        deadline_s=deadline_s,
        consumers=names_of(service),
        on_stuck=on_stuck,
        on_unread=on_unread,
    )
