"""What is known of the copies of a service from their heartbeats."""

from datetime import UTC, datetime, timedelta

from libs.common.bus.heartbeat import Heartbeat, SetAside
from services.api.health.copies import Heartbeats
from services.api.health.platform import LogView, not_ready, problems, set_aside

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
FINE = LogView(answers=True)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def beat(
    number: int = 1,
    standing: str = "leading",
    *,
    service: str = "health",
    ready: bool = True,
    pid: int = 0,
    **more,
) -> Heartbeat:
    return Heartbeat(
        service=service,
        pid=pid or 10 * number,
        is_ready=ready,
        applied_sequence=1,
        sent_at=NOW,
        standing=standing,
        copy_number=number,
        **more,
    )


def heard(*beats: tuple[float, Heartbeat], expected: int = 1) -> Heartbeats:
    heartbeats = Heartbeats(expected)
    for seconds, one in beats:
        heartbeats.take(one, at(seconds))
    return heartbeats


def standings(heartbeats: Heartbeats, seconds: float) -> dict[int, str]:
    return {one["number"]: one["standing"] for one in heartbeats.copies(at(seconds))["health"]}


def test_a_warm_copy_counts_as_ready_and_both_are_shown():
    both = heard((0, beat(1)), (1, beat(2, "warm")), expected=2)
    assert standings(both, 1) == {1: "leading", 2: "warm"}
    assert both.by_service["health"].beat.pid == 10
    assert both.missing(at(1)) == []
    assert both.processes == {"health": 10, "health-2": 20}


def test_the_one_that_leads_speaks_also_when_it_is_in_trouble():
    both = heard((0, beat(1, ready=False, problem="the cluster is away")), (1, beat(2, "warm")))
    assert "health" in not_ready(both.by_service, FINE, now=at(1))
    assert problems(both.by_service, FINE)["health"] == "the cluster is away"


def test_a_warm_one_speaks_while_nobody_leads():
    one_died = heard((0, beat(1)), (8, beat(2, "warm")))
    assert "health" not in not_ready(one_died.by_service, FINE, now=at(8), unled=one_died.unled(at(8)))


def test_that_nobody_leads_is_said_when_it_lasts():
    warm = heard((0, beat(1)), (1, beat(2, "warm")), (20, beat(2, "warm")))
    assert warm.unled(at(14)) == frozenset()
    assert warm.unled(at(20)) == {"health"}
    assert "health" in not_ready(warm.by_service, FINE, now=at(20), unled=warm.unled(at(20)))
    assert problems(warm.by_service, FINE, unled=warm.unled(at(20)))["health"] == "none of its copies leads"


def test_a_service_that_never_led_is_not_ready():
    assert heard((0, beat(1, "warm"))).unled(at(0)) == {"health"}


def test_one_that_was_taken_the_place_of_is_silent_at_once_and_named_later():
    died = heard((0, beat(1)), (0.5, beat(2, "warm")), (7, beat(2)))
    assert standings(died, 7) == {1: "silent", 2: "leading"}
    assert died.missing(at(7)) == []
    died.take(beat(2), at(20))
    assert died.missing(at(20)) == ["the copy health (pid 10) was not heard for 20 s"]
    assert "health" not in not_ready(died.by_service, FINE, now=at(20), unled=died.unled(at(20)))


def test_a_copy_that_there_should_be_and_never_was_is_named():
    assert heard((0, beat(1)), expected=2).missing(at(1)) == ["the copy health-2 was not heard"]
    assert heard((0, beat(1)), expected=1).missing(at(1)) == []


def test_a_service_that_is_away_as_a_whole_is_not_named_copy_by_copy():
    assert heard((0, beat(1)), (0, beat(2, "warm")), expected=2).missing(at(60)) == []


def test_one_that_was_stopped_in_order_is_forgotten_while_there_is_another():
    left = heard((0, beat(1)), (0, beat(2, "warm")), (1, beat(2, "warm", is_last=True)))
    assert standings(left, 1) == {1: "leading"}
    alone = heard((0, beat(1)), (1, beat(1, is_last=True)))
    assert standings(alone, 1) == {1: "leading"}


def test_one_that_is_started_again_takes_its_place_whatever_its_pid():
    again = heard((0, beat(1)), (2, beat(1, "warm", pid=11)), (2.5, beat(1, pid=11)))
    assert again.processes == {"health": 11}
    assert standings(again, 3) == {1: "leading"}


def test_after_an_hour_a_silent_one_is_forgotten():
    died = heard((0, beat(1)), (1, beat(2)), (3600, beat(2)))
    assert standings(died, 3600) == {2: "leading"}


def test_what_any_copy_has_set_aside_is_set_aside():
    aside = (SetAside(subject="d", reason="no", since=NOW, attempts=1),)
    both = heard((0, beat(1)), (1, beat(2, "warm", set_aside=aside)))
    assert [one.subject for one in both.by_service["health"].beat.set_aside] == ["d"]


ROUTERS = ("router", "router-2")
SERVING = {"envoy_acknowledged": True}


def router(number: int, **more) -> Heartbeat:
    return beat(number, "", service="router", **{"detail": SERVING, **more})


def not_ready_at(heartbeats: Heartbeats, seconds: float) -> list[str]:
    names = not_ready(heartbeats.by_service, FINE, now=at(seconds), routers=ROUTERS)
    return [name for name in names if "router" in name or "envoy" in name]


def test_each_router_is_asked_for_and_speaks_for_itself():
    both = heard((0, router(1)), (1, router(2)))
    assert not_ready_at(both, 2) == []
    assert both.processes == {"router": 10, "router-2": 20}
    assert not_ready_at(heard((0, router(1))), 1) == ["router-2", "envoy-2"]
    assert not_ready_at(heard((0, router(1)), (16, router(2))), 16) == ["router"]
    assert not_ready_at(heard((0, router(1)), (0, router(2, ready=False))), 1) == ["router-2"]


def test_each_router_has_an_envoy_of_its_own():
    away = {"envoy_acknowledged": False, "envoy_problem": "no Envoy is connected"}
    both = heard((0, router(1)), (0, router(2, detail=away)))
    assert not_ready_at(both, 1) == ["envoy-2"]
    assert problems(both.by_service, FINE) == {"envoy-2": "no Envoy is connected"}


def test_what_a_further_router_has_to_say_is_shown():
    aside = SetAside(subject="d", reason="cannot be routed", since=NOW, attempts=1)
    both = heard((0, router(1)), (0, router(2, problem="waits", set_aside=(aside,))))
    assert problems(both.by_service, FINE)["router-2"] == "waits"
    assert set_aside(both.by_service).keys() == {"router-2"}
