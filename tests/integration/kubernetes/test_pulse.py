"""When what is asked of an API server is given up, by a server that answers what the test tells it to."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.kubernetes import client as client_module
from libs.common.cluster.kubernetes import patience, pulse
from libs.common.cluster.kubernetes.client import Client
from libs.common.cluster.kubernetes.patience import Unanswered
from libs.common.cluster.kubernetes.pulse import Pulse
from libs.common.errors import ClusterUnavailable
from tests.support.api_server import serving, status, write_kubeconfig
from tests.support.polling import eventually, let_time_pass

LOOK = "/api/v1/namespaces/replicas"
PODS = f"{LOOK}/pods"
READY = "/readyz"
WITHOUT_ETCD = "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"


class Server:
    """What is not in `said` is not answered."""

    def __init__(self):
        self.said = {}
        self.asked = []

    async def answer(self, request):
        self.asked.append(request.path)
        while request.path not in self.said:
            await let_time_pass(0.01)
        code, text = self.said[request.path]
        return status(code, text) if code != 500 else web.Response(status=code, text=text)


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(patience, "SLOW_S", 0.1)
    monkeypatch.setattr(client_module, "LOOKING_S", 0.2)
    monkeypatch.setattr(client_module, "_READY_S", 5.0)
    monkeypatch.setattr(pulse, "SOON_S", 0.05)
    monkeypatch.setattr(pulse, "WRONG_FOR_S", 1.0)


@asynccontextmanager
async def looked_at(tmp_path, *, ticks=monotonic):
    """(what the server says, a client of it, its pulse)."""
    said = Server()
    async with serving() as server:
        server.answers = [said.answer]
        config = write_kubeconfig(tmp_path / "config", server.url, {"token": "t"})
        client = Client(config, "replicas", clock=utc_now, ticks=monotonic)
        looking = Pulse(client, ticks=ticks)
        task = asyncio.create_task(looking.run())
        try:
            yield said, client, looking
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()


def trouble(looking):
    try:
        looking.check()
    except ClusterUnavailable as error:
        return str(error)
    return ""


@pytest.mark.usefixtures("hasty")
async def test_what_is_under_way_is_given_up_and_nothing_more_is_asked_until_it_answers(tmp_path):
    async with looked_at(tmp_path) as (server, client, looking):
        server.said[READY] = 500, WITHOUT_ETCD
        with pytest.raises(Unanswered, match=r"get readyz: \[-\]etcd failed: reason withheld$"):
            await client.get("pods", "one")
        assert "[-]etcd" in trouble(looking)
        server.asked.clear()
        with pytest.raises(Unanswered, match="etcd"):
            await client.get("pods", "two")
        assert f"{PODS}/two" not in server.asked
        server.said |= {LOOK: (200, ""), f"{PODS}/two": (200, "")}
        await eventually(lambda: not trouble(looking))
        assert await client.get("pods", "two")


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "said",
    [
        pytest.param({LOOK: (200, ""), READY: (200, "ok")}, id="only this request takes long"),
        pytest.param({READY: (200, "ok")}, id="busy, and well by its own word"),
        pytest.param({READY: (403, "who are you")}, id="we may not ask for its word"),
    ],
)
async def test_a_request_that_takes_long_is_waited_for(tmp_path, said):
    async with looked_at(tmp_path) as (server, client, looking):
        server.said |= said
        asked = asyncio.create_task(client.get("pods", "one"))
        await eventually(lambda: LOOK in server.asked)
        await let_time_pass(2 * pulse.WRONG_FOR_S)
        assert trouble(looking) == ""
        server.said[f"{PODS}/one"] = 200, ""
        assert await asked


@pytest.mark.usefixtures("hasty")
async def test_only_what_every_look_finds_for_some_time_counts(tmp_path, monkeypatch):
    """What each finds is said at once, so that none of them is in vain only because the machine is busy."""
    monkeypatch.setattr(pulse, "EVERY_S", 0.1)
    monkeypatch.setattr(client_module, "LOOKING_S", 60.0)
    in_vain = 500, "etcdserver: request timed out"
    now = 0.0

    async def looked(server):
        """Twice more, so that at least the first of them is over."""
        before = server.asked.count(LOOK)
        await eventually(lambda: server.asked.count(LOOK) >= before + 2)

    async with looked_at(tmp_path, ticks=lambda: now) as (server, _, looking):
        server.said[LOOK] = in_vain
        await looked(server)
        server.said[LOOK] = 200, ""
        await looked(server)
        now += 100
        server.said[LOOK] = in_vain
        await looked(server)
        assert trouble(looking) == ""
        now += pulse.WRONG_FOR_S
        await eventually(lambda: trouble(looking))


@pytest.mark.usefixtures("hasty")
async def test_a_right_that_was_taken_away_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(pulse, "EVERY_S", 0.1)
    async with looked_at(tmp_path) as (server, _, looking):
        server.said[LOOK] = 403, 'User "us" cannot get resource "namespaces"'
        await eventually(lambda: "does not allow us to get namespaces" in trouble(looking))
        server.said[LOOK] = 200, ""
        await eventually(lambda: not trouble(looking))
