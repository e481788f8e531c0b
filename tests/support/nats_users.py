"""A platform's broker as each of its users meets it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NoAnswer

from libs.common.bus import server_health
from libs.common.bus.server_health import ServerHealth
from libs.common.services import SERVICES
from tests.support.nats_server import patient
from tests.support.platform_process import PlatformProcess
from tests.support.polling import PATIENCE_S, eventually


@asynccontextmanager
async def connected_as(platform: PlatformProcess, user: str) -> AsyncIterator[Client]:
    """The client library, as that user."""

    async def on_error(_: Exception) -> None:
        """A refusal shows as an answer that never comes, too."""

    last: list[Exception] = []

    async def try_it() -> Client | None:
        # The server hangs up on whoever has not said who it is two seconds after it was let in.
        try:
            return await nats.connect(
                f"nats://127.0.0.1:{platform.ports()['nats']}",
                nkeys_seed=str(platform.home / "nats" / f"{user}.nk"),
                inbox_prefix=f"_INBOX_{user}" if user in SERVICES else "_INBOX",
                allow_reconnect=False,
                connect_timeout=PATIENCE_S,
                error_cb=on_error,
            )
        except (OSError, NatsError) as error:
            last[:] = [error]
            return None

    client = await eventually(try_it, every_s=0.1, because=lambda: f"{user} is not let in: {last}")
    assert isinstance(client, Client)
    try:
        yield patient(client)
    finally:
        await client.close()


SILENT_FOR_S = 0.25
"""No answer for so long is none: the server answers at once, or never."""


async def answer(
    client: Client, subject: str, payload: bytes = b"{}", *, within_s: float = SILENT_FOR_S
) -> Msg | None:
    """None where nobody answers, or where it may not be asked. within_s: longer where an answer must come."""
    try:
        return await client.request(subject, payload, timeout=within_s)
    except (NoAnswer, NoRespondersError):
        return None


def health_of_the_broker(platform: PlatformProcess) -> closing[ServerHealth]:
    """What the broker says of itself, asked as the platform's own processes ask it."""
    url = f"nats://127.0.0.1:{platform.ports()['nats']}"
    return closing(ServerHealth(url, platform.home / "nats" / f"{server_health.USER}.nk"))
