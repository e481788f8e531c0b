"""Which events nothing is left to do about: known without a pass, and without asking anybody."""

from collections.abc import Mapping

import pytest

from libs.common.cluster.port import ObservedWorkload
from libs.common.log.port import Importing
from tests.unit.reconciler.following import Scene
from tests.unit.reconciler.scene import DEPLOYMENT, spec


async def test_nothing_is_left_to_do_because_of_an_event_of_what_a_round_has_found_right(
    scene: Scene,
) -> None:
    events = await scene.events()
    assert not any(map(scene.resync.is_done, events)), "nobody has looked yet"
    await scene.resync.round()
    assert all(map(scene.resync.is_done, events))
    await scene.register(spec("b", 1))
    await scene.caught_up()
    assert not scene.resync.is_done(await scene.newest())


async def test_what_came_while_the_cluster_was_asked_is_still_to_be_looked_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = scene.cluster.observe

    async def observe_late(deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        observed = await observe(deployment_id)
        monkeypatch.undo()
        await scene.register(spec("a", 2))
        await scene.settle()
        await scene.caught_up()
        return observed

    monkeypatch.setattr(scene.cluster, "observe", observe_late)
    await scene.resync.round()
    assert not scene.resync.is_done(await scene.newest())
    await scene.resync.round()
    assert scene.resync.is_done(await scene.newest())


async def test_nothing_is_left_to_do_because_of_an_event_of_what_is_gone(scene: Scene) -> None:
    await scene.delete()
    await scene.settle()
    events = await scene.events()
    assert not any(map(scene.resync_every(3600).is_done, events)), "nobody has read the log yet"
    await scene.caught_up()
    assert all(map(scene.resync.is_done, events))


async def test_what_the_views_lack_an_event_of_may_not_be_gone(scene: Scene) -> None:
    events = await scene.events()
    scene.resync._views.by_id.clear()
    assert all(map(scene.resync.is_done, events))
    scene.resync._unread.failed(DEPLOYMENT, ValueError("no"))
    assert not any(map(scene.resync.is_done, events))


async def test_during_an_import_nothing_is_done_event_by_event_and_then_all_is_compared(scene: Scene) -> None:
    events = await scene.events()
    scene.resync._on_importing(Importing(1, 3))
    assert all(map(scene.resync.is_done, events))
    scene.resync._must_compare_all = False
    scene.resync._on_importing(None)
    assert not any(map(scene.resync.is_done, events)), "nothing of it has been read yet"
    scene.resync._on_caught_up(3)
    assert scene.resync._must_compare_all
    scene.resync._views.by_id.clear()
    assert all(map(scene.resync.is_done, events))
