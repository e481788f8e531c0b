"""With which status a server refuses a call."""

from collections.abc import Awaitable, Callable

import grpc
import grpc.aio


async def refusal(ask: Callable[[], Awaitable[object]]) -> grpc.StatusCode | None:
    """None where it does not. ask: makes the call. The client's own library says INTERNAL of a stream that is
    refused while it still writes, so then it asks again."""
    while True:
        try:
            await ask()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INTERNAL:
                return error.code()
        else:
            return None
