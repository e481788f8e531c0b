"""What tells the broker's own messages about a fetch from stored ones, whatever headers those have."""

from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

STORED = "$JS.ACK."
"""How the reply subject of every stored message begins; the broker sets it."""

_STATUS = "Status"


def status_of(message: Msg | None) -> str | None:
    """Of a message about a fetch, such as `408`; None for a stored one.

    Its header alone does not tell: a publisher writes there what it likes.
    """
    if message is None or message.headers is None or message.reply.startswith(STORED):
        return None
    return message.headers.get(_STATUS)


def tell_them_apart() -> None:
    """Put `status_of` in the place of the client's own, which only looks for the header.

    The client drops what has it, without an acknowledgement. So a command with it would come again for ever,
    and no command after it would ever come.
    """
    JetStreamContext.is_status_msg = staticmethod(status_of)  # type: ignore[method-assign, assignment]
