"""The router takes over all deployments at its start, and others have their turn meanwhile."""

import asyncio

from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from services.router.follower import Follower
from services.router.xds.cache import Cache
from services.router.xds.listener import make_listener
from services.router.xds.types import Packed
from tests.support.deployments import Storyteller
from tests.support.polling import let_others_run

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
