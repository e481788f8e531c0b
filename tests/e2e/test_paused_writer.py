"""A reconciler stands still between two of its writes to Kubernetes, while another copy goes on.

It holds promise 2: what it does late, by a plan of before, comes to nothing.
"""

import os
import signal
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import pytest
from aiohttp import web

from libs.common.clock import monotonic
from tests.e2e.test_copies import Copies, is_stopped
from tests.support.fault_proxy import FaultProxy, Forward, before
from tests.support.on_kubernetes import on_kubernetes, pods, shown, spec_of
from tests.support.polling import eventually, let_time_pass
from tests.support.sockets import asker

WRITES = ("PUT configmaps", "POST pods", "DELETE pods")
LONG_S = 30.0
"""Several times as long as another copy needs to do its work in its place."""


@pytest.fixture
async def proxy(kubernetes_world, tmp_path):
    async with before(kubernetes_world.kubeconfig, tmp_path) as proxy:
        yield proxy
        proxy.mend()


@pytest.fixture
async def platform(own_platform, kubernetes_world, proxy):
    own_platform.environment |= {
        **on_kubernetes(proxy.kubeconfig, kubernetes_world.namespace),
        "SPECSTREAM_COPIES": "2",
    }
    await own_platform.start_and_wait()
    return own_platform


class Pause:
    """Stops whichever of some processes makes the next write of a kind: before the server hears of it, or
    behind it."""

    def __init__(self, proxy: FaultProxy, write: str, pids: Collection[int], *, is_heard: bool) -> None:
        self.pid: int | None = None
        self.since = 0.0
        """By the monotonic clock."""
        self._pids = pids
        self._is_heard = is_heard
        proxy.on(*write.split(), self._stop)

    async def _stop(self, request: web.Request, forward: Forward) -> web.StreamResponse:
        answer = await forward() if self._is_heard else None
        assert request.transport is not None
        both_ends = (request.transport.get_extra_info(of) for of in ("peername", "sockname"))
        pid = asker(*both_ends, self._pids)
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: is_stopped(pid))
        self.pid, self.since = pid, monotonic()
        if answer is None:
            await eventually(lambda: not is_stopped(pid))
        return answer or await forward()

    def go_on(self) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Stop:
    """At which write of a plan, and for how long at least; always until the other copy has done its work."""

    write: str
    is_heard: bool
    at_least_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.write} {'heard' if self.is_heard else 'unheard'}, {self.at_least_s:g} s"


STOPS = (
    *(Stop(write, is_heard) for write in WRITES for is_heard in (False, True)),
    Stop("PUT configmaps", is_heard=False, at_least_s=LONG_S),
    Stop("POST pods", is_heard=False, at_least_s=LONG_S),
)


@pytest.mark.parametrize("stop", STOPS, ids=str)
async def test_what_it_does_late_comes_to_nothing(platform, proxy, kubernetes_world, stop):
    copies = Copies(platform)
    both = set((await copies.both())["reconciler"])
    deployment_id = await platform.deploy(spec_of("paused", VERSION="1"))
    await platform.at_rest(deployment_id)
    pause = Pause(proxy, stop.write, both, is_heard=stop.is_heard)

    async def only_shown():
        present = await pods(kubernetes_world)
        return present if await shown(platform, deployment_id) == present.keys() else None

    try:
        await platform.submit(spec_of("paused", VERSION="2"))
        await eventually(lambda: pause.pid, every_s=0.05, because=f"there is no {stop.write}")
        await platform.submit(spec_of("paused", replicas=3, VERSION="3"))
        await platform.settled(deployment_id)
        await platform.at_rest(deployment_id)
        # What no anchor lists any more may be there for a moment.
        after = await eventually(only_shown, every_s=0.1)
        assert len(after) == 3
        await let_time_pass(pause.since + stop.at_least_s - monotonic())
        assert is_stopped(pause.pid)
        last = (await platform.events(deployment_id))[-1]["sequence"]
    finally:
        pause.go_on()

    async def is_as_before():
        return await pods(kubernetes_world) == after

    # What it makes late is listed by nobody, and goes.
    await let_time_pass(3)
    await eventually(is_as_before, every_s=0.1)
    assert await platform.events(deployment_id, after=last) == []
    events = await platform.events(deployment_id)
    stopped = Counter(one["data"]["replica_id"] for one in events if one["type"] == "ReplicaStopped")
    assert set(stopped.values()) == {1}
    assert not [one for one in events if one["type"] in {"ReplicaRestarted", "SpecFailed"}]
    await platform.verified()
