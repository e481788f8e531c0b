"""The router takes over all deployments at its start and each of their changes since."""

import asyncio
from typing import ClassVar

from libs.common.cluster.addresses import Addresses
from libs.common.events.replica import ReplicaStarted
from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from services.router.follower import Follower
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.types import Packed
from tests.support.deployments import Storyteller, a_replica
from tests.support.polling import eventually, let_others_run

DEPLOYMENTS = 120
"""Each costs a fraction of a millisecond, which is about a turn."""


async def test_others_have_their_turn_while_all_deployments_are_taken_over_at_the_start() -> None:
    log = MemoryLog()
    for number in range(DEPLOYMENTS):
        story = Storyteller(log, f"{number:032x}")
        await story.create()
        await story.ready("r1", f"127.0.0.1:{20_000 + number}")
    cache = Cache(Packed.of(make_listener(8081, upload_deadline_s=600)))
    none = len(cache.resources)
    follower = Follower(log, cache, Progress())
    following = asyncio.ensure_future(follower.run())
    seen = []
    try:
        while not follower.caught_up.is_set():
            seen.append(len(cache.resources) - none)
            await let_others_run(1)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert len(cache.resources) - none == DEPLOYMENTS
    assert len(set(seen)) > 3, "all in one turn"


class AskedAddresses(Addresses):
    """Notes which addresses it was asked about, as each routing that is made asks about all of them."""

    asked: ClassVar[list[str]] = []

    def __contains__(self, address: str) -> bool:
        self.asked.append(address)
        return super().__contains__(address)


async def test_the_facts_beside_a_page_of_the_roster_make_no_routing_once_more() -> None:
    log = MemoryLog()
    story = Storyteller(log)
    await story.create(replicas=3)
    addresses = AskedAddresses()
    follower = Follower(
        log, Cache(Packed.of(make_listener(8081, upload_deadline_s=600))), Progress(), addresses
    )
    following = asyncio.ensure_future(follower.run())
    try:
        await eventually(follower.caught_up.is_set)
        replicas = [a_replica(f"r{number}", f"127.0.0.1:{20_000 + number}") for number in range(3)]
        facts = [ReplicaStarted(replica_id=each.replica_id, replica=each) for each in replicas]
        await story.change(*facts)
        newest = await log.last_sequence()
        await eventually(lambda: follower.views.sequence == newest)
        assert sorted(addresses.asked) == sorted(each.address for each in replicas)
        await story.retire("r0")
        await eventually(lambda: follower.draining == {story.deployment_id})
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
