from datetime import timedelta

import pytest

from libs.common.events.traffic import WithdrawReason
from services.router.draining import Drain, EnvoyReading, decide, observe
from services.router.routing import Leaving
from tests.support.deployments import BORN

ADDRESS = "127.0.0.1:5001"
NOW = BORN
EARLIER = NOW - timedelta(milliseconds=100)
DEADLINE = timedelta(seconds=30)
LONG_AGO = NOW - DEADLINE

IDLE = EnvoyReading(has_acknowledged=True, active_requests={ADDRESS: 0})
BUSY = EnvoyReading(has_acknowledged=True, active_requests={ADDRESS: 2})
UNREADABLE = EnvoyReading(has_acknowledged=True, active_requests=None)
BEHIND = EnvoyReading(has_acknowledged=False, active_requests={ADDRESS: 0})
WITHOUT_IT = EnvoyReading(has_acknowledged=True, active_requests={"127.0.0.1:1": 5})


@pytest.mark.parametrize(
    ("before", "readings", "after"),
    [
        pytest.param(Drain(), [], Drain(), id="no Envoy: nothing is known"),
        pytest.param(
            Drain(EARLIER, EARLIER), [], Drain(), id="the only Envoy has left: from the start again"
        ),
        pytest.param(Drain(), [BEHIND], Drain(), id="idle before the acknowledgement says nothing"),
        pytest.param(Drain(EARLIER, EARLIER), [IDLE, BEHIND], Drain(), id="every Envoy has to acknowledge"),
        pytest.param(Drain(), [IDLE], Drain(NOW, NOW), id="first idle look"),
        pytest.param(Drain(EARLIER, EARLIER), [IDLE], Drain(EARLIER, EARLIER), id="second idle look"),
        pytest.param(Drain(EARLIER, EARLIER), [BUSY], Drain(EARLIER, None, 2), id="busy between idle looks"),
        pytest.param(Drain(), [IDLE, BUSY, BUSY], Drain(NOW, None, 4), id="busy on two of three Envoys"),
        pytest.param(Drain(EARLIER, EARLIER), [UNREADABLE], Drain(EARLIER, None), id="unknown is not idle"),
        pytest.param(
            Drain(EARLIER, None, 2), [UNREADABLE], Drain(EARLIER, None, 2), id="the last known count is kept"
        ),
        pytest.param(Drain(), [IDLE, UNREADABLE], Drain(NOW, None), id="one of two is unknown"),
        pytest.param(Drain(), [WITHOUT_IT], Drain(NOW, NOW), id="an Envoy that does not have it is idle"),
    ],
)
def test_observe(before, readings, after):
    assert observe(before, Leaving("r1", ADDRESS), readings, NOW) == after


def test_what_has_no_endpoint_needs_no_count():
    assert observe(Drain(), Leaving("r1", None), [UNREADABLE], NOW) == Drain(NOW, NOW)


@pytest.mark.parametrize(
    ("drain", "reason"),
    [
        pytest.param(Drain(), None, id="not acknowledged"),
        pytest.param(Drain(NOW, NOW), None, id="idle once"),
        pytest.param(Drain(EARLIER, EARLIER), WithdrawReason.IDLE, id="idle twice, far enough apart"),
        pytest.param(Drain(EARLIER, None, 1), None, id="busy within the deadline"),
        pytest.param(Drain(LONG_AGO, None, 1), WithdrawReason.DEADLINE, id="busy at the deadline"),
        pytest.param(Drain(LONG_AGO, EARLIER), WithdrawReason.IDLE, id="idle just before the deadline"),
    ],
)
def test_decide(drain, reason):
    assert decide(drain, now=NOW, deadline=DEADLINE) is reason
