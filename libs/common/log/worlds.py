"""Following the log into `Worlds`: how a service that holds no durable keeps up with every deployment."""

from collections.abc import Callable
from typing import Final

from libs.common.events.envelope import Recorded, select
from libs.common.log.port import CaughtUp, EventLog, Importing
from libs.common.state.world import DeploymentWorld, Worlds

WORLD_FILTERS: Final = tuple(select(kind=kind) for kind in ("deployment", "rollout", "replica", "traffic"))
"""Selects the events of every aggregate that a `DeploymentWorld` is folded from."""


async def follow_worlds(
    log: EventLog,
    worlds: Worlds,
    *,
    on_caught_up: Callable[[int], None],
    on_change: Callable[[DeploymentWorld, Recorded], None],
    on_importing: Callable[[Importing | None], None],
) -> None:
    """Rebuild `worlds` by last-per-subject, then keep it up; never returns.

    on_caught_up: called with the sequence up to which `worlds` is complete; the caller then goes over
    all worlds itself. Called once, and again when an import has filled the log.
    on_importing: called with how far an import is; with None when all of it is in `worlds`. Nothing may be
    decided meanwhile. on_change: called once caught up for each event, with the world as it is after it; a
    deployment that is gone is given once more, and is in `worlds` no longer.
    Raises what `EventLog.follow` raises.
    """
    is_caught_up = False
    async for item in log.follow(*WORLD_FILTERS):
        if isinstance(item, Importing):
            is_caught_up = False
            on_importing(item)
            continue
        if isinstance(item, CaughtUp):
            is_caught_up = True
            on_importing(None)
            worlds.sequence = max(worlds.sequence, item.sequence)
            on_caught_up(item.sequence)
            continue
        world = worlds.apply(item)
        if is_caught_up:
            on_change(world, item)
