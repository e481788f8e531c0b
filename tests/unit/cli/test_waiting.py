"""What is said of a spec that does not come up, and what to do about it."""

import httpx
import pytest

from libs.cli.errors import CommandFailed
from libs.cli.waiting import Line, Seen, reasons, until_done
from libs.client import Client

RUN = "b" * 32
SPEC = {"runId": RUN, "data": {"resources": {"replicas": 1}}}
DEPLOYMENT = {"id": "d" * 32, "name": "n", "latestSpec": SPEC}


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
    seen = Seen(DEPLOYMENT, (Line("a" * 32, RUN, "starting", message),))
    first, replica, *hints = reasons(seen, 5.0)
    assert first == "not done after 5 s: 0 of 1 replicas are ready"
    assert replica == f"  {'a' * 32}: starting" + (f": {message}" if message else "")
    assert any("variable PORT" in hint for hint in hints) is is_hinted
    assert "logs" in hints[-1]


OLD_RUN = "c" * 32


def replica(digit, run_id, state):
    return Line(digit * 32, run_id, state, None)


@pytest.mark.parametrize(
    ("others", "told"),
    [
        pytest.param([], "0 of 1 replicas are ready", id="nothing served before"),
        pytest.param(["stopping"], "0 of 1 replicas are ready", id="the one before is on its way out"),
        pytest.param(
            ["running"],
            "0 of 1 replicas are ready; 1 of the version before goes on serving",
            id="one goes on",
        ),
        pytest.param(
            ["running", "running"],
            "0 of 1 replicas are ready; 2 of the version before go on serving",
            id="two go on",
        ),
    ],
)
def test_of_an_update_that_fails_only_its_own_replicas_count(others, told):
    before = [replica(str(number), OLD_RUN, state) for number, state in enumerate(others)]
    first, *_ = reasons(Seen(DEPLOYMENT, (replica("a", RUN, "failed"), *before)), 6.0)
    assert first == f"not done after 6 s: {told}"


def test_one_of_two_that_are_ready_is_counted():
    deployment = {**DEPLOYMENT, "latestSpec": {**SPEC, "data": {"resources": {"replicas": 2}}}}
    lines = (replica("1", RUN, "running"), replica("2", RUN, "starting"), replica("3", OLD_RUN, "running"))
    first, *replicas, _ = reasons(Seen(deployment, lines), 5.0)
    assert "1 of 2 replicas are ready; 1 of the version before goes on serving" in first
    assert replicas == [
        f"  {'1' * 32} of run bbbbbbbb: running",
        f"  {'2' * 32} of run bbbbbbbb: starting",
        f"  {'3' * 32} of run cccccccc: running",
    ]


def test_of_a_stop_no_replica_goes_on_serving():
    stopped = {**SPEC, "data": {"enabled": False, "resources": {"replicas": 1}}}
    first, *_ = reasons(Seen({**DEPLOYMENT, "latestSpec": stopped}, (replica("3", OLD_RUN, "running"),)), 5.0)
    assert first.endswith("replicas are ready")


FORBIDDEN = "holding the present state: Kubernetes does not allow us to create pods"


def platform(health, *, stalled=None):
    """An api that shows a deployment without replicas."""

    def answer(request):
        if request.url.path.endswith("/health"):
            return health
        if request.url.path.endswith("/runs"):
            return httpx.Response(200, json=[{"id": RUN, "instances": [], "stalled": stalled}])
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
