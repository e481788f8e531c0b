"""What is said of a spec that does not come up, and what to do about it."""

import httpx
import pytest

from libs.cli.errors import CommandFailed
from libs.cli.waiting import Line, Seen, reasons, until_done
from libs.client import Client

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


FORBIDDEN = "holding the present state: Kubernetes does not allow us to create pods"


def platform(health, *, stalled=None):
    """An api that shows a deployment without replicas."""

    def answer(request):
        if request.url.path.endswith("/health"):
            return health
        if request.url.path.endswith("/runs"):
            return httpx.Response(200, json=[{"id": "b" * 32, "instances": [], "stalled": stalled}])
        return httpx.Response(200, json=DEPLOYMENT)

    return Client("http://api.test/", "the-key", transport=httpx.MockTransport(answer))


def not_ready(names, problems):
    details = {"notReady": names, "problems": problems, "setAside": {}, "notices": []}
    return httpx.Response(503, json={"code": "PRECONDITION_FAILED", "message": "", "details": details})


def told_in_vain(client):
    with client, pytest.raises(CommandFailed) as failed:
        until_done(client, DEPLOYMENT["id"], deadline_s=0, on_change=lambda _: None)
    return list(failed.value.lines)


@pytest.mark.parametrize("stalled", [None, "none of 1 replicas is ready after 600 s"])
def test_what_holds_up_every_deployment_is_told(stalled):
    """A deployment itself says nothing of it: nobody could look at the cluster, or write."""
    health = not_ready(["reconciler", "router"], {"reconciler": FORBIDDEN})
    first, *platforms, last = told_in_vain(platform(health, stalled=stalled))
    assert "0 of 1" in first or "stalled" in first
    assert platforms == [f"  reconciler is not ready: {FORBIDDEN}", "  router is not ready"]
    assert "logs" in last


def test_of_a_platform_that_is_well_nothing_is_told():
    first, last = told_in_vain(platform(httpx.Response(200, json="HEALTHY")))
    assert "0 of 1" in first
    assert "logs" in last
