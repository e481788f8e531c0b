"""Wiring of the autoscaler: the only place that knows what is real."""

import gc
from collections.abc import Callable

from libs.common.bus import subjects
from libs.common.bus.connection import connected
from libs.common.bus.leading import led
from libs.common.clock import monotonic, utc_now
from libs.common.log.jetstream import open_log
from libs.common.log.jetstream.entries import JetStreamManyEntries
from libs.common.log.jetstream.samples import open_sample_reader
from libs.common.log.port import EventLog
from libs.common.log.snapshots import Snapshot
from libs.common.machine_types.reading import machine_types
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from libs.common.state.aggregates import followed_by
from libs.common.state.view import Views
from services.autoscaler.appending import Appender
from services.autoscaler.fleet import Fleet
from services.autoscaler.follower import Follower
from services.autoscaler.gauges import Gauges
from services.autoscaler.keeper import Keeper
from services.autoscaler.knowledge import Knowledge
from services.autoscaler.loop import Loop
from services.autoscaler.settings import Settings

SERVICE = "autoscaler"

ANSWER_S = 1.5
"""How long the bucket may take to answer: no decision waits for its memory."""


YOUNG_OBJECTS = 10_000


def look_seldom_for_garbage() -> None:
    """Nearly all that a decision makes goes by itself, and nearly all that a start makes stays. To look after
    every 700 objects for what does neither took a third of the CPU of deciding about 10,000 deployments."""
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def leave_alone_what_stays() -> None:
    """A full look at all that is known of 10,000 deployments takes longer than anything may hold up the
    rest."""
    gc.freeze()
    look_seldom_for_garbage()


async def run(settings: Settings, *, adapt_log: Callable[[EventLog], EventLog] = as_it_is) -> None:
    """Until SIGTERM. adapt_log: another composition may wrap the log."""
    types = machine_types(settings.machine_types)
    async with connected(settings, service=SERVICE) as connection:
        look_seldom_for_garbage()
        progress, client = Progress(), connection.client
        log = adapt_log(
            open_log(client, SERVICE, on_stuck=progress.cannot_follow, on_unread=progress.cannot_read)
        )

        knowledge = Knowledge(
            types,
            request_window_s=settings.request_window_seconds,
            cpu_initialization_s=settings.cpu_initialization_seconds,
            initial_readiness_delay_s=settings.initial_readiness_delay_seconds,
            views=Views(followed_by(SERVICE)),
        )
        bucket = JetStreamManyEntries(
            client,
            stream=subjects.SCALING_STREAM,
            root=subjects.SCALING_ROOT,
            deadline_s=ANSWER_S,
            attempt_s=ANSWER_S / 2,
        )
        keeper = Keeper(bucket, ticks=monotonic)
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
        fleet = Fleet(knowledge)
        follower = Follower(
            log,
            knowledge,
            loop,
            progress,
            ticks=monotonic,
            clock=utc_now,
            fleet=fleet,
            on_caught_up=leave_alone_what_stays,
        )
        async with led(client, settings, progress.lead, service=SERVICE) as lease:
            gauges = Gauges(fleet, leads=lambda: lease.is_held, ticks=monotonic)
            await run_until_stopped(
                lambda: [
                    follower.run(Snapshot.of(SERVICE, settings)),
                    loop.measure(),
                    loop.decide(),
                    keeper.run(),
                    gauges.run(),
                ],
                heartbeat=connection.heartbeat,
                progress=progress,
            )
