"""The lease of a service of which several copies may run: one leads, the others stand by warm."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from nats.aio.client import Client

from libs.common.bus import subjects
from libs.common.bus.holder import holder
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.bus.lease import Lease
from libs.common.bus.settings import ServiceSettings
from libs.common.services import copy_name

ANSWER_S: Final = 1.5
"""How long the bucket may take to answer: a lease has to be renewed in time."""


@asynccontextmanager
async def led(
    client: Client, settings: ServiceSettings, tell: Callable[[bool], None], *, service: str
) -> AsyncIterator[Lease]:
    """Tries to lead for as long as the block runs, and lets another copy do so at its end.

    tell: is told whether this copy leads, now and whenever that changes.
    """
    tell(False)
    entries = JetStreamEntries(
        client,
        stream=subjects.LEASES_STREAM,
        root=subjects.LEASES_ROOT,
        deadline_s=ANSWER_S,
        attempt_s=ANSWER_S / 2,
    )
    copy = copy_name(service, settings.copy_number)
    with holder(settings.home.expanduser() / "run", copy) as name:
        lease = Lease(entries, service, holder=name, on_change=tell)
        async with lease.kept():
            yield lease
