"""What fails for one deployment is set aside, with growing pauses, and comes back by itself (promise 6)."""

import asyncio
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from libs.common.bus.heartbeat import SetAside
from libs.common.errors import ClusterUnavailable, DeploymentUnavailable, LogUnavailable
from libs.common.set_aside import PAUSES, Aside
from tests.support.polling import PATIENCE_S, let_time_pass

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Scene:
    def __init__(self) -> None:
        self.ticks = 0.0
        self.shown: dict[str, SetAside] = {}
        self.aside = Aside("watch", self.shown, lambda: NOW, lambda: self.ticks)

    def fail(self, subject: str = "d1", error: Exception | None = None) -> None:
        with self.aside.attempt(subject):
            raise error or RuntimeError("no")

    def succeed(self, subject: str = "d1") -> None:
        with self.aside.attempt(subject):
            pass


def test_pauses_double_and_end_at_half_a_minute() -> None:
    assert [PAUSES.pause_s(n) for n in (1, 2, 3, 7, 8, 1000)] == [0.5, 1.0, 2.0, 30.0, 30.0, 30.0]


def test_it_rests_until_it_is_due_and_is_named_meanwhile() -> None:
    scene = Scene()
    assert not scene.aside.is_resting("d1")
    scene.fail()
    (shown,) = scene.shown.values()
    assert shown == SetAside(subject="d1", reason="watch: RuntimeError: no", since=NOW, attempts=1)
    assert scene.aside.is_resting("d1")
    assert not scene.aside.is_resting("d2")
    assert scene.aside.due() == []
    scene.ticks = 0.5
    assert not scene.aside.is_resting("d1")
    assert scene.aside.due() == ["d1"]
    scene.fail()
    assert next(iter(scene.shown.values())).attempts == 2
    scene.ticks = 1.4
    assert scene.aside.is_resting("d1")
    scene.aside.hurry("d1")
    assert scene.aside.due() == ["d1"]
    scene.succeed()
    assert scene.shown == {}
    assert scene.aside.due() == []


def test_two_kinds_of_work_do_not_clear_each_other() -> None:
    scene = Scene()
    other = Aside("probe", scene.shown, lambda: NOW, lambda: scene.ticks)
    scene.fail()
    with other.attempt("d1"):
        pass
    assert [one.subject for one in scene.shown.values()] == ["d1"]


def test_whoever_gives_up_a_kind_of_work_shows_nothing_of_it_any_more() -> None:
    scene = Scene()
    other = Aside("probe", scene.shown, lambda: NOW, lambda: scene.ticks)
    other.failed("d1", RuntimeError("no"))
    scene.fail("d1")
    scene.fail("d2")
    scene.aside.clear()
    assert [one.reason for one in scene.shown.values()] == ["probe: RuntimeError: no"]
    assert scene.aside.subjects == frozenset()
    assert not scene.aside.is_resting("d1")
    scene.fail("d1")
    assert [one.attempts for one in scene.shown.values()] == [1, 1]


@pytest.mark.parametrize("error", [LogUnavailable("away"), ClusterUnavailable("away")])
def test_what_no_single_deployment_causes_is_everybodys(error: Exception) -> None:
    scene = Scene()
    with pytest.raises(type(error)):
        scene.fail(error=error)
    assert scene.shown == {}


def test_a_deployment_that_the_cluster_cannot_show_is_set_aside() -> None:
    scene = Scene()
    scene.fail(error=DeploymentUnavailable("locked"))
    assert next(iter(scene.shown.values())).reason == "watch: DeploymentUnavailable: locked"


def test_a_reason_repeats_no_payload_and_is_bounded() -> None:
    class Strict(BaseModel):
        token: int

    scene = Scene()
    try:
        Strict.model_validate({"token": "hunter2"})
    except ValueError as error:
        scene.fail(error=error)
    assert next(iter(scene.shown.values())).reason == "watch: ValidationError"
    scene.fail("d2", RuntimeError("x" * 10_000))
    assert all(len(one.reason) <= 256 for one in scene.shown.values())


async def test_who_waits_for_what_is_due_waits_while_nothing_is() -> None:
    scene = Scene()
    waiting = asyncio.ensure_future(scene.aside.until_due())
    await let_time_pass(0.05)
    scene.fail()
    await let_time_pass(0.05)
    assert not waiting.done()
    scene.aside.hurry("d1")
    await asyncio.wait_for(waiting, PATIENCE_S)


async def test_who_waits_is_told_when_a_pause_is_over() -> None:
    aside = Aside("watch", {})
    with aside.attempt("d1"):
        raise RuntimeError("no")
    await asyncio.wait_for(aside.until_due(), PATIENCE_S)
    assert aside.due() == ["d1"]
