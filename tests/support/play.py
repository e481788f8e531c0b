"""Health and the router, played for as long as it takes until something is true."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from libs.common.clock import utc_now
from libs.common.events.rollout import RolloutPhase
from tests.support.players import Players
from tests.support.polling import eventually


class Play(Players):
    """Health and the router speak until something is true, on a cluster whose time is that of the day."""

    def time(self) -> datetime:
        return utc_now()

    async def until(self, condition: Callable[[], Awaitable[object]]) -> None:
        async def holds() -> object:
            while await self.health():
                pass
            await self.router()
            return await condition()

        await eventually(holds, every_s=0.05)

    async def settles(self, spec_id: str, phase: RolloutPhase) -> None:
        async def is_there() -> bool:
            view = await self.view()
            progress = view.rollout.progress if view else None
            return progress is not None and (progress.spec_id, progress.phase) == (spec_id, phase)

        await self.until(is_there)

    async def pids(self) -> set[str]:
        return {replica.replica_id for replica in await self.observed()}
