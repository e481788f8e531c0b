"""What is said of a spec that does not come up, and what to do about it."""

import pytest

from libs.cli.waiting import Line, Seen, reasons

DEPLOYMENT = {"id": "d" * 32, "name": "n", "latestSpec": {"data": {"resources": {"replicas": 1}}}}


@pytest.mark.parametrize(
    ("message", "is_hinted"),
    [
        ("port check: connection refused", True),
        ("readiness check: connection refused", True),
        ("readiness check: HTTP 503", False),
        (None, False),
    ],
)
def test_where_nobody_listens_the_port_to_listen_on_is_named(message, is_hinted):
    seen = Seen(DEPLOYMENT, (Line("a" * 32, "b" * 32, "starting", message),))
    first, replica, *hints = reasons(seen, 5.0)
    assert first == "not done after 5 s: 0 of 1 replicas are ready"
    assert replica == f"  {'a' * 32}: starting" + (f": {message}" if message else "")
    assert any("variable PORT" in hint for hint in hints) is is_hinted
    assert "logs" in hints[-1]
