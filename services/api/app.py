"""Wiring of the api: the only place that knows what is real."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from libs.common.autoscaling.kept import KeptReasoning
from libs.common.bus import server_health, subjects
from libs.common.bus.broker import close, make_broker
from libs.common.bus.checks import CheckSignals
from libs.common.bus.connection import Connection, connected
from libs.common.bus.entries import Entries
from libs.common.bus.jetstream_entries import JetStreamEntries
from libs.common.bus.server_health import ServerHealth
from libs.common.bus.work import watch_waiting
from libs.common.clock import utc_now
from libs.common.cluster.opening import offer, open_cluster
from libs.common.disk import MIB, room_under
from libs.common.log import reserve
from libs.common.log.jetstream import JetStreamLog, open_log
from libs.common.log.jetstream.samples import open_sample_reader
from libs.common.log.jetstream.tails import JetStreamTails
from libs.common.log.jetstream.write_probe import refused_write
from libs.common.log.port import Archive, EventLog
from libs.common.runtime import Progress, as_it_is, run_until_stopped
from libs.common.services import edge_of, routers_of
from services.api.archive.importer import Importer
from services.api.commands.carry_out import Commands
from services.api.commands.outcomes import Outcomes
from services.api.edge.command_handler import CommandHandler
from services.api.edge.connections import BoundedConnection
from services.api.edge.rest import make_rest
from services.api.edge.routes.context import Api
from services.api.handlers import make_publish, subscribe
from services.api.health import mirror_notice
from services.api.health.copies import Heartbeats
from services.api.health.log_watch import LogCondition, watch
from services.api.points.collector import Collector
from services.api.points.store import PointStore
from services.api.readmodels.database import open_database
from services.api.readmodels.projector import Projector
from services.api.readmodels.queries import Queries
from services.api.settings import Settings

SERVICE = "api"

HOST = "127.0.0.1"

OWNER = "provision"
"""The broker's user that may store every kind of event: an import brings those of all services."""

LOG_DEADLINE_S = 20.0
"""How long a request waits for a broker that is away, before 503: clients give up at 30 s."""

SHUTDOWN_S = 3
KEEP_ALIVE_S = 75

YOUNG_OBJECTS = 10_000
"""Which the garbage collection looks at together; it takes a few milliseconds for so many."""


async def run(
    settings: Settings,
    *,
    adapt_log: Callable[[EventLog], EventLog] = as_it_is,
    adapt_outcomes: Callable[[Entries], Entries] = as_it_is,
) -> None:
    """Until SIGTERM or SIGINT. adapt_*: another composition may wrap the log and the outcomes of commands."""
    home = settings.home.expanduser()
    offered = offer(settings)
    engine = await open_database(home / "api" / "read.db")
    try:
        async with (
            connected(settings, service=SERVICE) as connection,
            open_cluster(settings) as cluster,
            AsyncExitStack() as leaving,
        ):
            progress = Progress()
            archive = open_log(
                connection.client,
                SERVICE,
                on_stuck=progress.cannot_follow,
                on_unread=progress.cannot_read,
                deadline_s=LOG_DEADLINE_S,
            )
            log = adapt_log(archive)
            points = PointStore(
                home / "api" / "points.db", most_bytes=settings.metrics_max_bytes, clock=utc_now
            )
            leaving.callback(points.close)
            samples = open_sample_reader(connection.client, SERVICE)
            queries = Queries(engine)
            leaving.callback(queries.close)
            broker = health_of_the_broker(settings)
            if broker is not None:
                leaving.callback(broker.close)
            projector = Projector(log, engine, progress, settings.visible_timeout_s)
            condition = LogCondition(shortage=partial(shortage, settings))
            edges = tuple(map(edge_of, routers_of(settings.routers)))
            api = Api(
                log=log,
                archive=archive,
                importer=Importer(
                    home / "api" / "import", archive, lambda: open_archive(settings), projector.offered
                ),
                exported_head=home / "api" / "exported-head.json",
                engine=engine,
                cluster=cluster,
                machine_types=offered.machine_types,
                commands=Commands.over(log, projector, offered, condition),
                queries=queries,
                projector=projector,
                points=points,
                samples=samples,
                edges=edges,
                heartbeats=Heartbeats(settings.copies, routers_of(settings.routers)),
                clock=utc_now,
                domain=settings.domain,
                edge_port=settings.edge_port,
                signal=CheckSignals(connection.client).get,
                request_window_s=settings.request_window_seconds,
                log_condition=condition,
                reasoning=KeptReasoning(
                    JetStreamEntries(
                        connection.client, stream=subjects.SCALING_STREAM, root=subjects.SCALING_ROOT
                    )
                ),
                tails=JetStreamTails(connection.client),
            )
            entries = JetStreamEntries(
                connection.client, stream=subjects.OUTCOMES_STREAM, root=subjects.OUTCOMES_ROOT
            )
            handler = CommandHandler(
                log,
                api.commands,
                Outcomes(adapt_outcomes(entries), utc_now),
                make_publish(connection.broker),
                utc_now,
                projector.timeline,
                progress.set_aside,
            )
            subscribe(
                connection.broker,
                handler.on_command,
                lambda beat: api.heartbeats.take(beat, utc_now()),
                service=SERVICE,
                machine_types=offered.machine_types,
            )
            await connection.broker.start()

            async def serve() -> None:
                # What was acknowledged before a restart must be seen after it.
                await projector.caught_up.wait()
                progress.is_ready = True
                await serve_rest(api, settings)

            await run_until_stopped(
                lambda: [
                    projector.run(),
                    api.importer.run(),
                    Collector(samples, points, clock=utc_now, edges=edges).run(),
                    serve(),
                    *log_checks(connection, broker, condition, progress),
                    watch_waiting(
                        connection.client,
                        stream=subjects.COMMANDS_STREAM,
                        durable=subjects.COMMANDS_DURABLE,
                        service=SERVICE,
                    ),
                ],
                heartbeat=connection.heartbeat,
                progress=progress,
            )
    finally:
        await engine.dispose()


def shortage(settings: Settings) -> str:
    """Why nothing new is accepted for lack of room; empty where the log is not on a disk of this machine."""
    if settings.disk_reserve_mib is None:
        return ""
    directory = settings.home.expanduser() / "nats" / "jetstream"
    size = settings.disk_reserve_mib * MIB
    try:
        room = room_under(directory)
    except OSError as error:
        return f"the directory of the log cannot be looked at: {error}"
    return reserve.shortage(room, size=size, is_held=reserve.is_held(directory, size))


def seed_of(settings: Settings, user: str) -> Path | None:
    """Of a user of the broker; None where the home has none, since the broker is somebody else's."""
    seed = settings.home.expanduser() / "nats" / f"{user}.nk"
    return seed if seed.exists() else None


def health_of_the_broker(settings: Settings) -> ServerHealth | None:
    """None where the broker is not ours to ask."""
    seed = seed_of(settings, server_health.USER)
    return ServerHealth(settings.nats_url, seed) if seed else None


def log_checks(
    connection: Connection, broker: ServerHealth | None, condition: LogCondition, progress: Progress
) -> list[Coroutine[Any, Any, None]]:
    """What watches over the log, and over the copy of it that other systems read."""
    writes = partial(refused_write, connection.client)
    if broker is None:
        return [watch(condition, (writes,))]
    return [
        watch(condition, (writes, broker.complaint)),
        mirror_notice.watch(progress, broker.complaint_of_the_mirror),
    ]


async def serve_rest(api: Api, settings: Settings) -> None:
    """Until it is cancelled; then what runs is finished, for `SHUTDOWN_S` at most."""
    server = _Server(
        uvicorn.Config(
            make_rest(api, api_key=settings.api_key.get_secret_value()),
            host=HOST,
            port=settings.api_port,
            http=BoundedConnection,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,  # nobody stands in front of it whose word about a client counts
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
    )
    # What is there by now stays. A full collection looks at all that is not frozen, 70 ms in which nobody is
    # answered, and long work on many events leads to one again and again.
    gc.freeze()
    # Nearly all that a request makes goes by itself. To look after every 700 objects for what does not took
    # 6 % of the CPU of a change.
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    serving = asyncio.ensure_future(server.serve(sockets=_given_sockets(settings)))
    try:
        await asyncio.shield(serving)
    finally:
        api.stopping.set()
        server.should_exit = True
        await serving


def _given_sockets(settings: Settings) -> list[socket.socket] | None:
    """What the supervisor listens on for us, which the api's end leaves open; None to listen ourselves."""
    if settings.api_socket is None:
        return None
    given = socket.socket(fileno=settings.api_socket)
    given.set_inheritable(False)
    return [given]


@asynccontextmanager
async def open_archive(settings: Settings) -> AsyncIterator[Archive]:
    """A connection of its own, as the owner of the streams, where the home has that user."""
    seed = seed_of(settings, OWNER)
    owner = settings.model_copy(update={"nats_seed_file": seed}) if seed else settings
    broker = make_broker(owner, service=OWNER if seed else SERVICE)
    try:
        yield JetStreamLog(await broker.connect(), source=f"specstream/{SERVICE}")
    finally:
        await close(broker)


class _Server(uvicorn.Server):
    """Leaves the signals to `run_until_stopped`."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
