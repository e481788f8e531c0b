"""Whatever an import brings is taken in: every event is read, every fold goes on, and what is kept of the
views is read again as it was."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given

from libs.common.events.catalogue import decode, encode
from libs.common.events.envelope import Position
from libs.common.log.port import Stored
from libs.common.log.snapshots import Kept, Snapshot
from libs.common.state.aggregates import followed_by
from libs.common.state.view import Views
from tests.support.made_up_histories import GOOD, events_of, histories, log_of

FOLLOWERS = ("reconciler", "health", "autoscaler", "router")


@given(histories)
def test_what_is_understood_can_be_written_anew(history: list[Stored]) -> None:
    for event in asyncio.run(events_of(history)):
        if event.fact is not None:
            written = encode(event.fact)
            _, again = decode(event.type, written)
            assert again is not None
            assert encode(again) == written


@pytest.mark.parametrize("service", FOLLOWERS)
@given(history=histories)
def test_views_are_read_again_as_they_were_kept(service: str, history: list[Stored]) -> None:
    asyncio.run(_keep(service, history))


async def _keep(service: str, history: list[Stored]) -> None:
    log, views, again = await log_of(history), Views(followed_by(service)), Views(followed_by(service))
    last = Position(0)
    async for event in log.read(*views.filters):
        views.apply(event)
        last = Position(event.sequence, await log.identity(), event.hash)
    view = views.by_id[GOOD]
    assert view.deployment is not None
    assert view.wanted_replicas == 1
    with TemporaryDirectory() as folder:
        snapshot = Snapshot(Path(folder) / "views")
        await snapshot.write(Kept.of(views), last)
        assert await snapshot.read(log, again) is not None
    assert (again.by_id, again.apart) == (views.by_id, views.apart)
