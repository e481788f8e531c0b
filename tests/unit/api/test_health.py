"""Who is named as not ready."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.bus.heartbeat import Heartbeat, SetAside
from libs.common.services import SERVICES
from services.api.health.copies import PATIENCE, Heard
from services.api.health.platform import (
    LogView,
    not_ready,
    notices,
    problems,
    scaling,
    set_aside,
    set_aside_header,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
FINE = LogView(answers=True, due_sequence=10)


def heard(service: str, *, age_s: float = 1, **changes) -> Heard:
    detail = {"envoy_acknowledged": True} if service == "router" else {}
    content = {"is_ready": True, "applied_sequence": 10, "detail": detail, **changes}
    beat = Heartbeat(service=service, pid=1, sent_at=NOW, **content)
    return Heard(beat, NOW - timedelta(seconds=age_s))


def everybody(**changed: Heard) -> dict[str, Heard]:
    return {name: heard(name) for name in SERVICES} | changed


@pytest.mark.parametrize(
    ("beats", "log", "expected"),
    [
        pytest.param(everybody(), FINE, [], id="everybody is ready"),
        pytest.param(everybody(), replace(FINE, problem="full"), ["log"], id="appends are refused"),
        pytest.param({}, FINE, [*SERVICES, "envoy"], id="nobody was heard of"),
        pytest.param(everybody(), replace(FINE, answers=False), ["log"], id="the log does not answer"),
        pytest.param(everybody(health=heard("health", age_s=14.9)), FINE, [], id="silent for less than 15 s"),
        pytest.param(everybody(health=heard("health", age_s=15)), FINE, ["health"], id="silent for 15 s"),
        pytest.param(
            everybody(autoscaler=heard("autoscaler", is_ready=False)),
            FINE,
            ["autoscaler"],
            id="says so itself",
        ),
        pytest.param(
            everybody(reconciler=heard("reconciler", applied_sequence=9)),
            FINE,
            ["reconciler"],
            id="stuck before a spec of more than 15 s ago",
        ),
        pytest.param(everybody(), replace(FINE, is_projected=False), ["api"], id="the api itself is behind"),
        pytest.param(
            everybody(router=heard("router", detail={"envoy_acknowledged": False})),
            FINE,
            ["envoy"],
            id="no Envoy has acknowledged",
        ),
        pytest.param(everybody(router=heard("router", detail={})), FINE, ["envoy"], id="no word of Envoy"),
    ],
)
def test_not_ready(beats, log, expected):
    assert not_ready(beats, log, now=NOW) == expected


def test_patience_is_15_seconds():
    assert timedelta(seconds=15) == PATIENCE


def test_a_service_says_itself_why_it_is_not_ready():
    beats = everybody(health=heard("health", is_ready=False, problem="the cluster does not answer"))
    assert problems(beats, FINE) == {"health": "the cluster does not answer"}
    beats = everybody(router=heard("router", detail={"envoy_problem": "its port is taken"}))
    assert problems(beats, FINE) == {"envoy": "its port is taken"}


def test_what_services_want_known_is_listed_and_makes_nobody_unready():
    beats = everybody(reconciler=heard("reconciler", detail={"notices": ["replicas are not confined"]}))
    assert notices(beats) == ["replicas are not confined"]
    assert not_ready(beats, FINE, now=NOW) == []


def test_how_many_have_something_unknown_is_told_and_makes_nobody_unready():
    detail = {"autoscaled": 3, "unknown": 1, "samples_dropped": 0}
    beats = everybody(autoscaler=heard("autoscaler", detail=detail))
    assert scaling(beats, now=NOW) == {"autoscaled": 3, "unknown": 1}
    assert not_ready(beats, FINE, now=NOW) == []


@pytest.mark.parametrize(
    "beats",
    [
        pytest.param({}, id="it was not heard"),
        pytest.param(everybody(), id="one that stands by"),
        pytest.param(
            everybody(autoscaler=heard("autoscaler", age_s=15, detail={"autoscaled": 3, "unknown": 1})),
            id="silent for 15 s",
        ),
    ],
)
def test_how_many_have_something_unknown_is_absent_where_nobody_knows(beats):
    assert scaling(beats, now=NOW) is None


def aside(*subjects: str) -> tuple[SetAside, ...]:
    return tuple(
        SetAside(subject=subject, reason="watch: ValueError: no", since=NOW, attempts=3)
        for subject in subjects
    )


def test_what_is_set_aside_makes_nobody_unready_and_is_named():
    beats = everybody(health=heard("health", set_aside=aside("d1")))
    assert not_ready(beats, FINE, now=NOW) == []
    assert set_aside_header(beats) == "health=d1"
    assert set_aside(beats) == {
        "health": [
            {
                "subject": "d1",
                "reason": "watch: ValueError: no",
                "since": "2026-01-31T12:00:00Z",
                "attempts": 3,
            }
        ]
    }


def test_the_header_is_bounded_and_names_each_once():
    many = aside("d0", "d0", *(f"d{number}" for number in range(1, 15)))
    beats = everybody(health=heard("health", set_aside=many), router=heard("router", set_aside=aside("d7")))
    named = ",".join(f"d{number}" for number in range(10))
    assert set_aside_header(beats) == f"health={named},+5; router=d7"


def test_the_header_is_one_line_of_ascii_whatever_name_was_given():
    beats = everybody(api=heard("api", set_aside=aside("caf\u00e9\r\nx: y", "message 5")))
    assert set_aside_header(beats) == "api=caf%C3%A9%0D%0Ax: y,message 5"


def test_with_nothing_set_aside_there_is_no_header():
    assert set_aside_header(everybody()) is None
    assert set_aside(everybody()) == {}
