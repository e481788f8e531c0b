"""What every route has at hand, and how a request becomes a cause, a body and a span."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Path, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticKnownError
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.common import telemetry
from libs.common.autoscaling.kept import PresentReasoning
from libs.common.autoscaling.present import Present
from libs.common.bus.checks import DeploymentSignal
from libs.common.clock import Clock
from libs.common.cluster.port import Cluster
from libs.common.errors import BadRequest, Issue
from libs.common.events.envelope import Cause
from libs.common.log.port import Archive, EventLog
from libs.common.machine_types.catalogue import MachineTypes
from libs.common.metrics.port import SampleReader
from libs.common.scaling.request_duration import REQUEST_WINDOW_S
from libs.common.tails.port import MemoryTails, Tails
from services.api.archive.importer import Importer
from services.api.commands.carry_out import Commands
from services.api.edge.reference_client import meant
from services.api.edge.wrong_query import check_query
from services.api.health.copies import Heartbeats
from services.api.health.log_watch import LogCondition
from services.api.points.store import PointStore
from services.api.readmodels.paging import Order, Paging, from_cursor
from services.api.readmodels.projector import Projector
from services.api.readmodels.queries import Queries

MAX_LIMIT = 120
"""The reference API's own limit."""

ACTOR = "key:default"
"""Who is answerable for what comes with the one key that there is."""


class NothingKept:
    """A `PresentReasoning` where nobody keeps any."""

    async def present(self, deployment_id: str) -> Present | None:  # noqa: ARG002 - nobody knows of any
        return None


async def _no_signal(deployment_id: str) -> DeploymentSignal | None:  # noqa: ARG001 - of none
    return None


@dataclass(frozen=True, slots=True)
class Api:
    """All that the routes use."""

    log: EventLog
    archive: Archive
    """The log as stored."""
    importer: Importer
    """Fills an empty one."""
    exported_head: FilePath
    """The file that keeps the head of the last export."""
    engine: AsyncEngine
    cluster: Cluster
    machine_types: MachineTypes
    commands: Commands
    queries: Queries
    projector: Projector
    points: PointStore
    """What was measured."""
    heartbeats: Heartbeats
    clock: Clock
    domain: str
    edge_port: int
    signal: Callable[[str], Awaitable[DeploymentSignal | None]] = _no_signal
    """How the checks of a deployment stand; None when that is not known."""
    request_window_s: float = REQUEST_WINDOW_S
    """What request durations are averaged over."""
    samples: SampleReader | None = None
    """What METRICS holds of the last hour; None where there is none."""
    edges: Collection[str] = ()
    """Those that count requests, and what is in flight."""
    one_trial: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Policies are tried one after the other: each keeps a core busy."""
    log_condition: LogCondition = field(default_factory=LogCondition)
    reasoning: PresentReasoning = field(default_factory=NothingKept)
    """Why the number of replicas of a deployment is what it is now."""
    tails: Tails = field(default_factory=MemoryTails)
    """What gone replicas wrote, where the cluster does not keep it."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process ends, so that streams end too."""
    event_streams: set[object] = field(default_factory=set)
    """Those that are open."""


async def _api(request: Request) -> Api:
    """Not a plain function: FastAPI calls those in a thread, which costs more than most answers."""
    api: Api = request.app.state.api
    return api


ApiContext = Annotated[Api, Depends(_api)]


async def _fresh(api: ApiContext) -> Api:
    await api.projector.catch_up()
    return api


FreshContext = Annotated[Api, Depends(_fresh)]
"""For routes that read: whoever has seen an event in the log finds it in the answer."""

IdPath = Annotated[str, Path(description="An id of this API.")]


async def _fresh_of_one(
    id: IdPath,  # noqa: A002 - the reference API's name for it
    api: ApiContext,
) -> Api:
    await api.projector.catch_up(id)
    return api


OneFreshContext = Annotated[Api, Depends(_fresh_of_one)]
"""For routes that read one deployment: whoever has seen an event of it in the log finds it in the answer."""


class ApiRoute(APIRoute):
    """Runs a handler inside a server span, a child of the caller's W3C context."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def traced(request: Request) -> Response:
            check_query(_meant_query(request), self)
            with telemetry.span(
                f"{request.method} {self.path_format}",
                request.headers.get("traceparent"),
                correlation_id=request.state.correlation_id,
                **{f"specstream.{name}": value for name, value in request.path_params.items()},
            ):
                return await handle(request)

        return traced


def _meant_query(request: Request) -> list[tuple[str, str]]:
    """Which is also what the route reads from now on."""
    sent = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    pairs = meant(sent, path_params=request.path_params, client=request.headers.get("x-client"))
    if len(pairs) < len(sent):
        request.scope["query_string"] = urlencode(pairs).encode()
    return pairs


def cause_of(request: Request) -> Cause:
    """Inside the request's span, so that what the events lead to belongs to its trace."""
    return Cause(
        actor=ACTOR,
        correlation_id=request.state.correlation_id,
        traceparent=telemetry.current_traceparent(),
    )


class Query(BaseModel):
    """Unknown parameters are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_DIGITS = re.compile("-?[0-9]+")


def _of_digits(sent: Any) -> Any:
    """Otherwise `1_0`, ` 10` and `10.0` would be whole numbers too."""
    if isinstance(sent, str) and not _DIGITS.fullmatch(sent):
        raise PydanticKnownError("int_parsing")
    return sent


WholeNumber = Annotated[int, BeforeValidator(_of_digits)]
"""A parameter that is one."""


class LimitQuery(Query):
    limit: WholeNumber = Field(default=20, ge=1, le=MAX_LIMIT)


class ListQuery(LimitQuery):
    """after: the `nextPage` of the page before."""

    after: str | None = None
    order_by: Literal["dtCreated"] = Field(default="dtCreated", alias="orderBy")
    order: Order = "desc"

    def paging(self, kind: str) -> Paging:
        """Raises BadRequest when `after` is no cursor of this kind of list."""
        after = None if self.after is None else from_cursor(kind, self.after)
        return Paging(self.limit, self.order, after)


def refuse(path: str, message: str, value: Any, allowed: Any = None) -> BadRequest:
    """A parameter is wrong."""
    return BadRequest(f"{path}: {message}", [Issue((path,), message, value, allowed)])
