"""The router process: what is real, and how it is put together."""

import asyncio
from collections.abc import Callable

from libs.common import loopback
from libs.common.bus.connection import connected
from libs.common.clock import monotonic, utc_now
from libs.common.load_shown import Shown
from libs.common.log.jetstream import open_log
from libs.common.log.jetstream.samples import JetStreamSamplePublisher
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from libs.common.services import edge_of, routers_of
from services.router.envoy_admin import EnvoyAdmin
from services.router.follower import Follower
from services.router.joining import join, say_who_is_named, stay_joined
from services.router.loop import DrainLoop, StatusLoop
from services.router.measuring.memory import CountsFile
from services.router.measuring.outbox import Outbox
from services.router.measuring.receiver import Receiver
from services.router.measuring.requests import RequestCounts
from services.router.meeting_place import entered
from services.router.settings import Settings
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.server import DiscoveryServer
from services.router.xds.types import Packed

SERVICE = "router"


async def run(settings: Settings, *, adapt_log: Callable[[EventLog], EventLog] = as_it_is) -> None:
    """Until SIGTERM or SIGINT. adapt_log: another composition may wrap the log."""
    with entered(settings.envoy_folder) as place:
        async with connected(settings, service=SERVICE) as connection, EnvoyAdmin(place) as admin:
            progress = Progress()
            log = adapt_log(
                open_log(
                    connection.client,
                    SERVICE,
                    on_stuck=progress.cannot_follow,
                    on_unread=progress.cannot_read,
                )
            )
            listener = make_listener(
                settings.edge_port,
                hosts=loopback.hosts(),
                upload_deadline_s=settings.upload_deadline_seconds,
            )
            cache = Cache(Packed.of(listener), domain=settings.domain)
            follower = Follower(
                log,
                cache,
                progress,
                settings.addresses,
                Snapshot.of(SERVICE, settings),
                router=settings.router,
            )
            source = edge_of(settings.router)
            outbox = Outbox(Shown(JetStreamSamplePublisher(connection.client)))
            counts = RequestCounts(
                read_counters=admin.counters,
                exists=lambda deployment_id: deployment_id in follower.views.by_id,
                file=CountsFile(place.descriptor),
                outbox=outbox,
                ticks=monotonic,
                source=source,
            )
            receiver = Receiver(
                counts,
                outbox,
                needed=lambda: follower.measured_in_flight,
                clock=utc_now,
                ticks=monotonic,
                source=source,
            )
            server = DiscoveryServer(cache, place, clock=utc_now, ticks=monotonic, beside=receiver.add_to)
            drains = DrainLoop(
                log,
                follower,
                cache,
                server,
                admin,
                ticks=monotonic,
                deadline_s=settings.drain_deadline_seconds,
            )

            async def serve() -> None:
                await join(log, follower, progress, settings.router)
                await server.start()
                progress.is_ready = True
                async with asyncio.TaskGroup() as group:
                    group.create_task(drains.run())
                    if settings.copy_number == 1:
                        named = frozenset(routers_of(settings.routers))
                        group.create_task(say_who_is_named(log, follower, named))
                    else:
                        group.create_task(stay_joined(log, follower, progress, settings.router))

            try:
                await run_until_stopped(
                    lambda: [
                        follower.run(),
                        serve(),
                        StatusLoop(cache, progress, ticks=monotonic).run(),
                        outbox.run(),
                    ],
                    heartbeat=connection.heartbeat,
                    progress=progress,
                )
            finally:
                await server.stop()
                await counts.stop()
