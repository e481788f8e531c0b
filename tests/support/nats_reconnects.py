"""The client of NATS closes what it gives up.

When it connects again and the server does not introduce itself in time, or dies before it has, the client
forgets that connection and opens another one. The garbage collector closes the first and warns, which fails
whatever test is running then.
"""

from typing import Any

from nats.aio.transport import TcpTransport

_connect = TcpTransport.connect


async def _close_and_connect(self: TcpTransport, *args: Any, **options: Any) -> None:
    self.close()
    await _connect(self, *args, **options)


TcpTransport.connect = _close_and_connect  # type: ignore[method-assign]
