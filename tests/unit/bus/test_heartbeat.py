"""A heartbeat of the version before and of the one after is understood while an upgrade is under way."""

from libs.common.bus.heartbeat import Heartbeat
from libs.common.clock import utc_now

EARLIER = {"service": "health", "pid": 1, "is_ready": True, "applied_sequence": 7, "sent_at": utc_now()}


def test_an_earlier_one_says_nothing_of_what_came_later():
    beat = Heartbeat.model_validate(EARLIER)
    assert (beat.problem, beat.set_aside, beat.detail) == ("", (), {})


def test_what_a_later_one_says_beyond_this_is_left_out():
    aside = {"subject": "d", "reason": "r", "since": utc_now(), "attempts": 1}
    later = EARLIER | {"set_aside": [aside | {"added": 1}], "added": {"by": "a later version"}}
    assert Heartbeat.model_validate(later) == Heartbeat.model_validate(EARLIER | {"set_aside": [aside]})
