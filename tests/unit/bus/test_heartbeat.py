"""A heartbeat of the version before and of the one after is understood while an upgrade is under way."""

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from libs.common.bus.heartbeat import MOST_UNKNOWN, Heartbeat
from libs.common.clock import utc_now

EARLIER = {"service": "health", "pid": 1, "is_ready": True, "applied_sequence": 7, "sent_at": utc_now()}


def test_an_earlier_one_says_nothing_of_what_came_later():
    beat = Heartbeat.model_validate(EARLIER)
    assert (beat.problem, beat.set_aside, beat.detail) == ("", (), {})


def test_what_a_later_one_says_beyond_this_is_left_out():
    aside = {"subject": "d", "reason": "r", "since": utc_now(), "attempts": 1}
    later = EARLIER | {"set_aside": [aside | {"added": 1}], "added": {"by": "a later version"}}
    assert Heartbeat.model_validate(later) == Heartbeat.model_validate(EARLIER | {"set_aside": [aside]})


@pytest.mark.parametrize(
    "mad",
    [
        {"detail": {"notices": 5}},
        {"detail": {"notices": [{"not": "text"}]}},
        {"detail": {"notices": ["\ud800"]}},
        {"detail": {"envoy_problem": {}}},
        {"copy_number": 10**400},
        {"copy_number": -1},
        {"sent_at": "0001-01-01T00:00:00+14:00"},
        {"set_aside": [{"subject": "d", "reason": "r", "since": "9999-12-31T23:59:59-10:00", "attempts": 1}]},
    ],
)
def test_what_the_health_check_could_not_show_is_no_heartbeat(mad):
    with pytest.raises(ValidationError):
        Heartbeat.model_validate(EARLIER | mad)


def test_what_is_left_out_is_said_once():
    with capture_logs() as said:
        for _ in range(3):
            Heartbeat.model_validate(EARLIER | {"unheard": 1})
    assert [(line["kind"], line["key"]) for line in said] == [("Heartbeat", "unheard")]


def test_many_unknown_keys_fill_no_log():
    with capture_logs() as said:
        Heartbeat.model_validate(EARLIER | {f"many{number}": 1 for number in range(100)})
    assert len(said) == MOST_UNKNOWN
