"""What a gauge shows to whoever reads it: only what is so now."""

import pytest

from libs.common.telemetry.instruments import INSTRUMENTS, OTHER
from libs.common.telemetry.metrics import Gauge
from tests.support.gauges import shown

AGE, SHORT = "specstream.samples.age", "specstream.deployment.short_for"


def test_it_shows_the_newest_value_of_each_series():
    gauge = Gauge(AGE)
    assert shown(gauge) == {}
    gauge.tell(3, {"kind": "usage"})
    gauge.tell(4, {"kind": "requests"})
    gauge.tell(5, {"kind": "usage"})
    assert shown(gauge) == {("usage",): 5, ("requests",): 4}


def test_a_series_ends():
    gauge = Gauge(AGE)
    gauge.tell(3, {"kind": "usage"})
    gauge.tell(None, {"kind": "usage"})
    assert shown(gauge) == {}


def test_what_is_asked_is_asked_each_time_and_may_not_be_known():
    gauge, now = Gauge(AGE), [None, 1.0, 2.0]
    gauge.tell(now.pop, {"kind": "usage"})
    assert [shown(gauge) for _ in range(3)] == [{("usage",): 2.0}, {("usage",): 1.0}, {}]


def test_attributes_are_closed():
    gauge = Gauge(AGE)
    gauge.tell(1, {"kind": "never heard of"})
    assert shown(gauge) == {(OTHER,): 1}
    with pytest.raises(ValueError, match="has the attributes kind"):
        gauge.tell(1)


def test_a_deployment_that_is_told_no_more_is_shown_no_more():
    gauge = Gauge(SHORT)
    gauge.tell_each({"a": 1, "b": 2}, together=max)
    assert shown(gauge) == {("a",): 1, ("b",): 2}
    gauge.tell_each({"b": 3}, together=max)
    assert shown(gauge) == {("b",): 3}


def test_every_gauge_of_deployments_has_no_other_attribute():
    for each in INSTRUMENTS.values():
        if "deployment_id" in each.attributes:
            assert list(each.attributes) == ["deployment_id"], each.name
