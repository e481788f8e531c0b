"""Two routers, each with an Envoy, on one log: no call at either edge is lost, whatever one of them does.

It holds promise 3.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.free_ports import free_port
from tests.support.live_platform import LivePlatform, hello
from tests.support.polling import eventually, let_time_pass
from tests.support.recorded_calls import Caller

FURTHER = "router-2"


class TwoEdges(LivePlatform):
    """A platform with a second edge, for as long as it is `widened`."""

    def __init__(self, home: Path) -> None:
        # Short, because a paused router does not end when it is told to.
        super().__init__(home, SPECSTREAM_GRACE_SECONDS="5")
        self.further_port = free_port()
        self.widened()

    def widened(self) -> None:
        self.environment["SPECSTREAM_MORE_EDGE_PORTS"] = str(self.further_port)

    def narrowed(self) -> None:
        del self.environment["SPECSTREAM_MORE_EDGE_PORTS"]

    @asynccontextmanager
    async def calling_at_both(
        self, deployment_id: str, *, refusal: str | None = None
    ) -> AsyncIterator[dict[str, Caller]]:
        """A caller at each edge, each of which has been served; no call may fail from then on. refusal:
        the `error_code` that may be answered all the same."""
        async with AsyncExitStack() as stack:
            callers = {
                edge: await stack.enter_async_context(Caller(f"d{deployment_id}.localhost:{port}", "/"))
                for edge, port in {"first": self.edge_port, "second": self.further_port}.items()
            }
            await asyncio.gather(*(caller.until_served() for caller in callers.values()))
            yield callers
        failed = {
            edge: [call for call in caller.failures() if not refusal or call.error_code != refusal]
            for edge, caller in callers.items()
        }
        assert failed == {"first": [], "second": []}

    async def words(self, deployment_id: str) -> list[str]:
        """Whose word withdrawals were, in order."""
        found = await self.events(deployment_id, type="EndpointsWithdrawn")
        return [event["data"]["router"] for event in found]

    async def said_of_routers(self) -> list[tuple[str, str]]:
        found = [
            *await self.events(type="RouterJoined"),
            *await self.events(type="RouterLeft"),
        ]
        return [
            (event["type"], event["subject"].split(".")[3])
            for event in sorted(found, key=lambda e: e["sequence"])
        ]

    async def detail(self) -> dict[str, Any]:
        return (await self.http.get("/health", params={"detail": "true"})).json()

    async def is_waited_for(self) -> bool:
        return any(FURTHER in notice and "withdraw" in notice for notice in (await self.detail())["notices"])

    async def waits_for_the_second(self, deployment_id: str, words_before: int) -> None:
        """The first router has said its word, the second one has not; and that is shown."""

        async def is_said() -> bool:
            return "router" in (await self.words(deployment_id))[words_before:]

        await eventually(is_said, because="the first router has not withdrawn it")
        await eventually(self.is_waited_for, because="nobody says who is waited for")
        assert FURTHER not in (await self.words(deployment_id))[words_before:]


@pytest.fixture(scope="module")
async def two_edges(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TwoEdges]:
    platform = TwoEdges(tmp_path_factory.mktemp("two-edges") / "home")
    try:
        await platform.start_and_wait()
        yield platform
    finally:
        await platform.close()


async def test_no_call_is_lost_at_either_edge(two_edges: TwoEdges) -> None:
    """Through updates, more and fewer replicas, and until the last one has to go."""
    platform = two_edges
    assert await platform.said_of_routers() == [("RouterJoined", FURTHER)]
    deployment_id = await platform.deploy(hello("both", replicas=2))
    async with platform.calling_at_both(deployment_id):
        for version, replicas in (("2", 2), ("2", 4), ("3", 1), ("3", 2)):
            await platform.submit(hello("both", replicas=replicas, VERSION=version))
            await platform.settled(deployment_id)
            assert len(await platform.replica_pids(deployment_id)) == replicas
    assert set(await platform.words(deployment_id)) == {"router", FURTHER}
    # Who calls what is removed is refused in order: no call is cut.
    async with platform.calling_at_both(deployment_id, refusal="deployment_not_found") as callers:
        await platform.delete(deployment_id)
        await platform.gone(deployment_id)
        for edge, caller in callers.items():
            await eventually(lambda caller=caller: caller.failures(), because=f"still served at the {edge}")
    await platform.healthy()
    assert await platform.said_of_routers() == [("RouterJoined", FURTHER)]
    await platform.verified()


async def test_a_replica_stays_until_a_paused_router_has_said_its_word(two_edges: TwoEdges) -> None:
    platform = two_edges
    deployment_id = await platform.deploy(hello("paused", replicas=2))
    pid = platform.pid(FURTHER)
    assert pid is not None
    async with platform.calling_at_both(deployment_id):
        os.kill(pid, signal.SIGSTOP)
        try:
            await platform.submit(hello("paused", replicas=1))
            await platform.waits_for_the_second(deployment_id, 0)
            await let_time_pass(3)
            assert len(platform.replica_processes(deployment_id)) == 2
        finally:
            os.kill(pid, signal.SIGCONT)
        await platform.settled(deployment_id)
    assert FURTHER in await platform.words(deployment_id)
    assert len(await platform.replica_pids(deployment_id)) == 1
    await platform.healthy()


async def test_a_replica_stays_until_a_killed_router_is_back_and_has_said_its_word(
    two_edges: TwoEdges,
) -> None:
    """Its Envoy goes on by what it had meanwhile; the supervisor, which would start it again, is away too."""
    platform = two_edges
    deployment_id = await platform.deploy(hello("killed", replicas=2))
    async with platform.calling_at_both(deployment_id):
        platform.send("supervisor")
        platform.send(FURTHER)
        await platform.submit(hello("killed", replicas=1))
        await platform.waits_for_the_second(deployment_id, 0)
        assert len(platform.replica_processes(deployment_id)) == 2

        async def is_missed() -> bool:
            return FURTHER in (await platform.detail())["notReady"]

        await eventually(is_missed, because="the killed router is not missed")
        await platform.start_and_wait()
        await platform.settled(deployment_id)
    assert FURTHER in await platform.words(deployment_id)
    assert len(await platform.replica_pids(deployment_id)) == 1


async def test_the_death_of_one_envoy_costs_the_other_edge_nothing(two_edges: TwoEdges) -> None:
    """And who is started in its place serves what is there by then."""
    platform = two_edges
    deployment_id = await platform.deploy(hello("envoy", replicas=2))
    before = platform.pid("envoy-2")
    async with platform.calling(deployment_id) as caller:
        platform.send("envoy-2")
        await platform.submit(hello("envoy", VERSION="2"))
        await platform.settled(deployment_id)
    assert not caller.failures()
    assert FURTHER in await platform.words(deployment_id)
    await eventually(lambda: platform.pid("envoy-2") not in {None, before})
    async with platform.calling_at_both(deployment_id) as callers:
        spec = await platform.spec(deployment_id)
        for caller in callers.values():
            await eventually(lambda caller=caller: caller.calls[-1].spec_id == spec["id"])
    await platform.healthy()


async def test_a_replica_waits_no_more_for_a_router_that_was_taken_out(two_edges: TwoEdges) -> None:
    platform = two_edges
    deployment_id = await platform.deploy(hello("taken", replicas=2))
    pid, joined = platform.pid(FURTHER), await platform.said_of_routers()
    assert pid is not None
    async with platform.calling(deployment_id) as caller:
        os.kill(pid, signal.SIGSTOP)
        await platform.submit(hello("taken", replicas=1))
        await platform.waits_for_the_second(deployment_id, 0)
        platform.send("supervisor")
        platform.narrowed()
        await platform.start_and_wait()
        await platform.settled(deployment_id)
        assert FURTHER not in await platform.words(deployment_id)
        assert await platform.said_of_routers() == [*joined, ("RouterLeft", FURTHER)]
        assert platform.pid(FURTHER) is None
        assert platform.pid("envoy-2") is None
        # And back again, on the same home.
        platform.send("supervisor")
        platform.widened()
        await platform.start_and_wait()
    assert not caller.failures()
    assert await platform.said_of_routers() == [*joined, ("RouterLeft", FURTHER), ("RouterJoined", FURTHER)]
    async with platform.calling_at_both(deployment_id):
        await platform.submit(hello("taken", replicas=1, VERSION="2"))
        await platform.settled(deployment_id)
    assert FURTHER in await platform.words(deployment_id)
    await platform.verified()
