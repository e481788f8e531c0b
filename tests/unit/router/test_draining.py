import pytest

from libs.common.events.traffic import WithdrawReason
from services.router.draining import PATIENCE_S, Drain, Situation, decide, observe
from services.router.routing import Leaving

ADDRESS = "127.0.0.1:5001"
NOW = 1000.0
EARLIER = NOW - 0.1
DEADLINE_S = 30.0
LONG_AGO = NOW - DEADLINE_S
PATIENTLY = NOW - PATIENCE_S

IDLE = Situation((True,), {ADDRESS: 0})
BUSY = Situation((True,), {ADDRESS: 2})
UNREADABLE = Situation((True,), None)
BEHIND = Situation((False,), {ADDRESS: 0})
ONE_BEHIND = Situation((True, False), {ADDRESS: 0})
NONE = Situation((), None)
WITHOUT_IT = Situation((True,), {"127.0.0.1:1": 5})


def idle(since, begun=EARLIER):
    return Drain(begun, begun, since)


def busy(requests, begun=EARLIER):
    return Drain(begun, begun, None, requests)


@pytest.mark.parametrize(
    ("before", "look", "after"),
    [
        pytest.param(Drain(), NONE, Drain(), id="no Envoy: nothing is known"),
        pytest.param(idle(EARLIER), NONE, Drain(), id="the only Envoy has left: from the start again"),
        pytest.param(Drain(), BEHIND, Drain(), id="idle before the acknowledgement says nothing"),
        pytest.param(idle(EARLIER), ONE_BEHIND, Drain(EARLIER), id="every Envoy has to acknowledge"),
        pytest.param(Drain(EARLIER), IDLE, Drain(EARLIER, NOW, NOW), id="the last one acknowledges"),
        pytest.param(
            Drain(PATIENTLY), ONE_BEHIND, Drain(PATIENTLY, NOW, NOW), id="one that hangs counts as away"
        ),
        pytest.param(
            Drain(PATIENTLY, EARLIER, EARLIER),
            ONE_BEHIND,
            Drain(PATIENTLY, EARLIER, EARLIER),
            id="one that hangs again and again starts nothing anew",
        ),
        pytest.param(Drain(PATIENTLY), BEHIND, Drain(), id="the only one hangs: nothing is known"),
        pytest.param(Drain(), IDLE, idle(NOW, NOW), id="first idle look"),
        pytest.param(idle(EARLIER), IDLE, idle(EARLIER), id="second idle look"),
        pytest.param(idle(EARLIER), BUSY, busy(2), id="busy between idle looks"),
        pytest.param(idle(EARLIER), UNREADABLE, busy(0), id="unknown is not idle"),
        pytest.param(busy(2), UNREADABLE, busy(2), id="the last known count is kept"),
        pytest.param(Drain(), WITHOUT_IT, idle(NOW, NOW), id="an Envoy that does not have it is idle"),
    ],
)
def test_observe(before, look, after):
    assert observe(before, Leaving("r1", ADDRESS), look, NOW) == after


def test_what_has_no_endpoint_needs_no_count():
    assert observe(Drain(), Leaving("r1", None), UNREADABLE, NOW) == idle(NOW, NOW)


@pytest.mark.parametrize(
    ("drain", "reason"),
    [
        pytest.param(Drain(), None, id="not acknowledged"),
        pytest.param(Drain(LONG_AGO), None, id="not acknowledged by all"),
        pytest.param(idle(NOW, NOW), None, id="idle once"),
        pytest.param(idle(EARLIER), WithdrawReason.IDLE, id="idle twice, far enough apart"),
        pytest.param(busy(1), None, id="busy within the deadline"),
        pytest.param(busy(1, LONG_AGO), WithdrawReason.DEADLINE, id="busy at the deadline"),
        pytest.param(idle(EARLIER, LONG_AGO), WithdrawReason.IDLE, id="idle just before the deadline"),
    ],
)
def test_decide(drain, reason):
    assert decide(drain, now=NOW, deadline_s=DEADLINE_S) is reason
