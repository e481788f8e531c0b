"""Two copies of the reconciler, of health and of the autoscaler: one dies or is paused, the other goes on.

It holds promises 1, 2 and 3. Within how many seconds another one leads is held by the tests of the lease,
which have a clock of their own.
"""

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from libs.common.services import COPIED
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually, let_time_pass

MOVERS = ("reconciler", "health")


@pytest.fixture
async def platform(own_platform: LivePlatform) -> LivePlatform:
    own_platform.environment["SPECSTREAM_COPIES"] = "2"
    await own_platform.start_and_wait()
    return own_platform


class Copies:
    """Who leads, as `/v1/health` tells it."""

    def __init__(self, platform: LivePlatform) -> None:
        self.platform = platform

    async def detail(self) -> dict[str, Any]:
        return (await self.platform.http.get("/health", params={"detail": "true"})).json()

    async def pids(self, service: str, standing: str) -> list[int]:
        copies = (await self.detail())["copies"].get(service, [])
        return [one["pid"] for one in copies if one["standing"] == standing]

    async def both(self) -> dict[str, tuple[int, int]]:
        """(the leading one, the warm one) of each service, once there are both."""

        async def found() -> dict[str, tuple[int, int]] | None:
            copies = (await self.detail())["copies"]
            by_standing = {
                service: {one["standing"]: one["pid"] for one in copies.get(service, ()) if one["isReady"]}
                for service in COPIED
            }
            if not all(one.keys() == {"leading", "warm"} for one in by_standing.values()):
                return None
            return {service: (one["leading"], one["warm"]) for service, one in by_standing.items()}

        return await eventually(found, because="there are not two copies of each")

    async def lead(self, pids: dict[str, int]) -> None:
        async def is_so() -> bool:
            return all([await self.pids(service, "leading") == [pid] for service, pid in pids.items()])

        await eventually(is_so, every_s=0.1, because=f"{pids} do not lead")


async def told_once(platform: LivePlatform, deployment_id: str) -> None:
    """Nothing is said twice, and no replica has come or gone twice."""
    events = await platform.events(deployment_id)
    once = Counter(
        (event["type"], event["data"]["spec_id"], str(event["data"].get("runs")))
        for event in events
        if event["type"] in {"SpecRegistered", "SpecApplied", "SpecHealthy"}
    )
    once += Counter(
        (event["type"], event["data"]["replica_id"], "")
        for event in events
        if event["type"] in {"ReplicaBecameReady", "ReplicaStopped"}
    )
    assert {key: times for key, times in once.items() if times > 1} == {}
    assert not [event for event in events if event["type"] in {"ReplicaRestarted", "SpecFailed"}]


async def changed(platform: LivePlatform, deployment_id: str, name: str, version: str, replicas: int) -> None:
    """Carried out, with one process for each replica."""
    await platform.submit(hello(name, replicas=replicas, VERSION=version))
    await platform.settled(deployment_id)
    assert len(await platform.replica_pids(deployment_id)) == replicas


async def pause(platform: LivePlatform, pid: int) -> None:
    """Anywhere but where it holds the lock on a deployment's files: nobody can take that from it."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        await eventually(lambda: is_stopped(pid))
        if not holds_a_lock(platform, pid):
            return
        os.kill(pid, signal.SIGCONT)
        await let_time_pass(0.02)


def is_stopped(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text()


def holds_a_lock(platform: LivePlatform, pid: int) -> bool:
    fences = {path.stat().st_ino for path in (platform.home / "replicas" / "fences").iterdir()}
    held = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" not in line]
    return any(int(lock[4]) == pid and int(lock[5].split(":")[2]) in fences for lock in held)


async def test_the_other_copies_go_on_when_those_that_lead_are_killed(platform: LivePlatform) -> None:
    copies = Copies(platform)
    both = await copies.both()
    await platform.healthy()
    deployment_id = await platform.deploy(hello("killed", replicas=2))
    # Nobody starts again what dies from now on.
    platform.send("supervisor")
    async with platform.calling(deployment_id) as caller:
        for service in MOVERS:
            os.kill(both[service][0], signal.SIGKILL)
        # At once, for the durable of the work is shared; and what only the leading one does goes on later.
        await platform.submit(hello("killed", replicas=3, VERSION="2"))
        heirs = {service: both[service][1] for service in MOVERS}
        await copies.lead(heirs)
        await platform.settled(deployment_id)
    assert not caller.failures()
    assert len(await platform.replica_pids(deployment_id)) == 3
    await told_once(platform, deployment_id)

    async def are_named() -> bool:
        detail = await copies.detail()
        silent = {
            s: [o["pid"] for o in some if o["standing"] == "silent"] for s, some in detail["copies"].items()
        }
        named = " ".join(detail["notices"])
        return detail["status"] == "HEALTHY" and all(
            silent[service] == [both[service][0]] and f"(pid {both[service][0]}) was not heard" in named
            for service in MOVERS
        )

    await eventually(are_named, because="the dead copies are not named, or not by a platform that is well")
    await platform.verified()


async def test_copies_that_were_paused_do_nothing_of_their_old_plan(platform: LivePlatform) -> None:
    copies = Copies(platform)
    both = await copies.both()
    deployment_id = await platform.deploy(hello("paused", replicas=2))
    paused = [both[service][0] for service in MOVERS]
    async with platform.calling(deployment_id) as caller:
        await platform.submit(hello("paused", replicas=2, VERSION="2"))
        # In the middle of a change, and for longer than a message waits until another copy gets it.
        for pid in paused:
            await pause(platform, pid)
        try:
            heirs = {service: both[service][1] for service in MOVERS}
            await copies.lead(heirs)
            await platform.settled(deployment_id)
            await changed(platform, deployment_id, "paused", "3", 3)
            await told_once(platform, deployment_id)
            before = [event["sequence"] for event in await platform.at_rest(deployment_id)]
            processes = await platform.replica_pids(deployment_id)
        finally:
            for pid in paused:
                os.kill(pid, signal.SIGCONT)
        # One leads and the other stands by; on a machine that stands still for long they may change places.
        assert _members(await copies.both()) == _members(both)
        await let_time_pass(3)
        assert [event["sequence"] for event in await platform.events(deployment_id)] == before
        assert await platform.replica_pids(deployment_id) == processes
        assert _members(await copies.both()) == _members(both)
        await changed(platform, deployment_id, "paused", "4", 2)
    assert not caller.failures()
    await told_once(platform, deployment_id)
    await platform.verified()


def _members(both: dict[str, tuple[int, int]]) -> dict[str, set[int]]:
    return {service: set(pair) for service, pair in both.items()}
