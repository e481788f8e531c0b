"""Histories that somebody made up: any facts, in any order, about a few ids, behind those of an ordinary
deployment and the beginning of another one."""

from collections.abc import Iterable, Iterator

from hypothesis import reject
from hypothesis import strategies as st

from libs.common.errors import BadRequest
from libs.common.events.envelope import Recorded
from libs.common.log.export import import_
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Stored
from libs.common.state.aggregates import followed_by
from libs.common.state.view import Views
from tests.support.made_up import lines_of, made_up
from tests.support.made_up_facts import DEPLOYMENTS, GOOD, MadeUp
from tests.support.strategies import EPOCH

_events = st.lists(st.integers(0, 2**40), max_size=10)
"""Each by its number: so a failure is told by its few events, however much is in them."""


def begun() -> Iterator[Stored]:
    """What the api writes of an ordinary deployment, and first of one that goes on by chance."""
    resources = {"machineType": "C4", "ports": [8000], "replicas": 1}
    spec = {"name": "good", "image": "example/app:1.0", "command": ["serve"], "resources": resources}
    facts = (
        ("DeploymentCreated", {"name": "good"}),
        ("SpecRegistered", {"spec_id": "e" * 32, "run_id": "e" * 32, "spec": spec}),
    )
    for event_type, content in facts:
        yield made_up(f"events.default.deployment.{GOOD}.{event_type}", content, time=EPOCH)
    yield made_up(f"events.default.deployment.{DEPLOYMENTS[0]}.DeploymentCreated", {"name": "x"}, time=EPOCH)


histories: st.SearchStrategy[list[Stored]] = st.lists(_events, max_size=5).map(
    lambda parts: [*begun(), *(MadeUp(seed).event() for part in parts for seed in part)]
)
"""In the order of the log, without the hashes that `chained` gives them."""


async def log_of(history: Iterable[Stored]) -> MemoryLog:
    """After an import. A history that is refused is none."""
    log = MemoryLog(source="specstream/api")
    try:
        await import_(log, lines_of(history))
    except BadRequest:
        reject()
    return log


async def events_of(history: Iterable[Stored]) -> list[Recorded]:
    """As every reader has them after an import."""
    return [event async for event in (await log_of(history)).read(">")]


async def views_of(log: MemoryLog, service: str) -> Views:
    """As this service has them when it has read the whole log."""
    views = Views(followed_by(service))
    async for event in log.read(*views.filters):
        views.apply(event)
    return views
