"""Whether what the API server has refused to make would be made by now. Nobody tells that.

A quota, a policy, a webhook or a missing account refuses the same of everybody. So one of those that were
refused for the same reason is asked for now and then, as a trial, of which nothing comes; when it would be
made, whoever waits may ask for its own.
"""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from libs.common.back_off import BackOff
from libs.common.clock import Ticks
from libs.common.cluster.kubernetes.client import JSON, Client
from libs.common.cluster.kubernetes.refusals import Conflicting
from libs.common.errors import SpecstreamError
from libs.common.events.text import without_ids

logger = structlog.get_logger()

EVERY_S: Final = 2.0
"""Between two trials, whatever for, and before whoever was refused is told: it may still be at it."""
FORGOTTEN_AFTER_S: Final = 900.0
"""Whoever still waits has asked again by then, and was refused again."""
IN_VAIN: Final = BackOff(EVERY_S, 600.0)
"""Before another trial for a cause that was refused again after it had seemed to be over: somebody may allow
what is tried, and nothing else."""

Cause = tuple[str, str, str]


@dataclass(slots=True)
class _Refused:
    """For one cause: what is tried, when it was last and will be at the earliest, who waits, each with when
    it was refused last, and how often it seemed to be over."""

    resource: str
    manifest: JSON
    changed_at: float
    due_at: float
    waiting: dict[str, float] = field(default_factory=dict)
    times_over: int = 0


class Trials:
    """on_admitted: hears which deployments may ask again."""

    def __init__(
        self, client: Client, *, ticks: Ticks, on_admitted: Callable[[Collection[str]], None]
    ) -> None:
        self._client = client
        self._ticks = ticks
        self._on_admitted = on_admitted
        self._refused: dict[Cause, _Refused] = {}
        self._any = asyncio.Event()

    def note(self, deployment_id: str, resource: str, manifest: JSON, error: SpecstreamError) -> None:
        """The server has refused to make this."""
        now = self._ticks()
        refused = self._refused.setdefault(
            _cause(resource, manifest, error), _Refused(resource, manifest, now, now)
        )
        refused.waiting[deployment_id] = now
        self._any.set()

    async def run(self) -> None:
        """Never returns."""
        while True:
            await self._any.wait()
            await asyncio.sleep(EVERY_S)
            now = self._ticks()
            self._forget(now)
            due = [refused for refused in self._refused.values() if refused.waiting and refused.due_at <= now]
            if due:
                await self._try(min(due, key=lambda refused: refused.changed_at))
            elif not self._refused:
                self._any.clear()

    def _forget(self, now: float) -> None:
        since = now - FORGOTTEN_AFTER_S
        for refused in self._refused.values():
            refused.waiting = {one: at for one, at in refused.waiting.items() if at > since}
        self._refused = {
            cause: refused
            for cause, refused in self._refused.items()
            if refused.waiting or refused.changed_at > since
        }

    async def _try(self, refused: _Refused) -> None:
        began = refused.changed_at = self._ticks()
        try:
            await self._client.create(refused.resource, refused.manifest, is_trial=True)
        except Conflicting:
            pass  # it is there, so it was made
        except SpecstreamError as error:
            logger.debug("still refused", error=str(error))
            return
        told = [one for one, at in refused.waiting.items() if began - at >= EVERY_S]
        for deployment_id in told:
            del refused.waiting[deployment_id]
        if told:
            refused.times_over += 1
            refused.due_at = began + IN_VAIN.pause_s(refused.times_over)
            logger.info("what was refused would be made", resource=refused.resource, deployments=len(told))
            self._on_admitted(told)


def _cause(resource: str, manifest: JSON, error: SpecstreamError) -> Cause:
    """Two refusals of one cause have the same words, for as much of each resource."""
    containers: list[dict[str, Any]] = manifest.get("spec", {}).get("containers", [])
    asked = json.dumps([one.get("resources") for one in containers], sort_keys=True)
    return without_ids(str(error)), resource, asked
