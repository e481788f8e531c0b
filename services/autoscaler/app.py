"""Wiring of the autoscaler: the only place that knows what is real."""

from collections.abc import Callable

from libs.common.bus import subjects
from libs.common.bus.connection import connected
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.bus.lease import Lease
from libs.common.clock import monotonic, utc_now
from libs.common.log.jetstream import open_log
from libs.common.log.jetstream.samples import open_sample_reader
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.machine_types.reading import machine_types
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from libs.common.state.aggregates import followed_by
from libs.common.state.view import Views
from services.autoscaler.appending import Appender
from services.autoscaler.follower import Follower
from services.autoscaler.keeper import Keeper
from services.autoscaler.knowledge import Knowledge
from services.autoscaler.loop import Loop
from services.autoscaler.settings import Settings

SERVICE = "autoscaler"

ANSWER_S = 1.5
"""How long the buckets may take to answer: a lease must be renewed, and no decision waits for its memory."""


async def run(settings: Settings, *, adapt_log: Callable[[EventLog], EventLog] = as_it_is) -> None:
    """Until SIGTERM. adapt_log: another composition may wrap the log."""
    types = machine_types(settings.machine_types)
    async with connected(settings, service=SERVICE) as connection:
        progress, client = Progress(), connection.client
        progress.lead(False)
        log = adapt_log(open_log(client, SERVICE, on_stuck=progress.cannot_follow))

        def bucket(stream: str, root: str) -> JetStreamEntries:
            return JetStreamEntries(
                client, stream=stream, root=root, deadline_s=ANSWER_S, attempt_s=ANSWER_S / 2
            )

        knowledge = Knowledge(
            types,
            request_window_s=settings.request_window_seconds,
            cpu_initialization_s=settings.cpu_initialization_seconds,
            initial_readiness_delay_s=settings.initial_readiness_delay_seconds,
            views=Views(followed_by(SERVICE)),
        )
        lease = Lease(bucket(subjects.LEASES_STREAM, subjects.LEASES_ROOT), SERVICE, on_change=progress.lead)
        keeper = Keeper(bucket(subjects.SCALING_STREAM, subjects.SCALING_ROOT), ticks=monotonic)
        loop = Loop(
            knowledge,
            open_sample_reader(client, SERVICE),
            Appender(log, knowledge.views, ticks=monotonic),
            keeper,
            progress,
            leads=lambda: lease.is_held,
            ticks=monotonic,
            clock=utc_now,
        )
        follower = Follower(log, knowledge, loop, progress, ticks=monotonic, clock=utc_now)
        async with lease.kept():
            await run_until_stopped(
                lambda: [
                    follower.run(Snapshot.of(SERVICE, settings)),
                    loop.measure(),
                    loop.decide(),
                    keeper.run(),
                ],
                heartbeat=connection.heartbeat,
                progress=progress,
            )
