"""An export of a platform that never ran, of any length: many deployments that live side by side.

Each is created, updated and disabled, and its replicas come, are replaced and go. A few hundred are at work
at the same time, so neighbours in the log are seldom of the same deployment.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from libs.common.events.deployment import DeploymentCreated, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft
from libs.common.events.name import NameClaimed
from libs.common.events.rollout import RolloutPhase, RolloutProgressed, SpecHealthy
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.ids import new_id
from libs.common.log.export import FORMAT, event_line, json_line
from libs.common.log.head import LogHead, RunningHead
from libs.common.log.port import Appended, Head, Heads, Stored
from libs.common.log.sealing import appended, seal
from tests.support.deployments import Storyteller, a_spec

AT_WORK = 200
LENGTH = 34
"""Events of one story."""
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class WrittenLog:
    """As much of an `EventLog` as a storyteller needs; what is appended goes to a file."""

    file: IO[bytes]
    running: RunningHead = field(default_factory=RunningHead)
    _heads: dict[str, Head] = field(default_factory=dict)

    async def load(self, *filters: str) -> Any:
        return _LoadedHeads({_of(one): self._heads[one] for one in filters if one in self._heads})

    async def append(self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause) -> Appended:
        now = START + timedelta(milliseconds=7 * self.running.sequence)
        sealed = seal(
            drafts,
            heads=heads,
            guards=(),
            cause=cause,
            source="specstream/benchmark",
            now=now,
            fresh_id=new_id,
        )
        places = []
        for event in sealed:
            stored = Stored(self.running.sequence + 1, now, event.subject, event.headers, event.data)
            self.running.take(stored)
            self.file.write(event_line(stored))
            places.append(Head(stored.sequence, event.hash))
        done = appended(sealed, places)
        self._heads |= {aggregate.filter: head for aggregate, head in done.heads.items()}
        return done

    def forget(self, deployment_id: str) -> None:
        """Nothing more will be told of it."""
        self._heads = {one: head for one, head in self._heads.items() if f".{deployment_id}." not in one}


@dataclass(frozen=True, slots=True)
class _LoadedHeads:
    heads: Heads


def _of(one_filter: str) -> Aggregate:
    _, project_id, kind, aggregate_id, _ = one_filter.split(".")
    return Aggregate(project_id, kind, aggregate_id)


async def write_history(path: Path, *, events: int) -> LogHead:
    """At least so many events, each story to its end."""
    with path.open("wb") as file:
        file.write(json_line(FORMAT))
        log = WrittenLog(file)
        stories = [_story(log)]
        while stories:
            going_on = [one for one in stories if await anext(one, None)]
            # One after the other, so that they are at different places of their lives.
            is_more_wanted = log.running.sequence + len(going_on) * LENGTH / 2 < events
            if is_more_wanted and len(going_on) < AT_WORK:
                going_on.append(_story(log))
            stories = going_on
        file.write(json_line({"head": log.running.head().to_wire()}))
    return log.running.head()


async def _story(log: WrittenLog) -> AsyncIterator[bool]:
    """Of one deployment; pauses after each append."""
    story = Storyteller(log)  # type: ignore[arg-type]  # all of a log that it needs
    name = f"deployment-{story.deployment_id[:8]}"
    claim = Draft(
        Aggregate(story.project_id, "name", story.deployment_id),
        NameClaimed(parent=story.project_id, name=name, owner_id=story.deployment_id),
    )
    await log.append([claim], heads={}, cause=Cause("key:default", new_id()))
    yield True
    replicas: list[str] = []
    for version in (1, 2):
        ids = {"spec_id": new_id(), "run_id": new_id()}
        spec = a_spec(name=name, replicas=2)
        created = [DeploymentCreated(name=name)] if version == 1 else []
        await story.tell(*created, SpecRegistered(**ids, spec=spec))
        yield True
        await story.apply(**ids)
        yield True
        await story.tell(_progress(RolloutPhase.WAITING_FOR_READY, ids))
        yield True
        before, replicas = replicas, [new_id(), new_id()]
        for port, replica_id in enumerate(replicas):
            await story.starting(replica_id, f"127.0.0.1:{port}")
            yield True
            await story.ready(replica_id, f"127.0.0.1:{port}", **ids)
            yield True
        await story.tell(SpecHealthy(**ids, replicas=2))
        yield True
        async for _ in _leave(story, before):
            yield True
        await story.tell(_progress(RolloutPhase.COMPLETE, ids))
        yield True
    await story.register(spec_id=new_id(), run_id=ids["run_id"], enabled=False)
    yield True
    async for _ in _leave(story, replicas):
        yield True
    await story.tell(_progress(RolloutPhase.STOPPED, ids))
    log.forget(story.deployment_id)


async def _leave(story: Storyteller, replicas: Sequence[str]) -> AsyncIterator[None]:
    for replica_id in replicas:
        await story.retire(replica_id)
        yield
        await story.tell(EndpointsWithdrawn(replica_ids=(replica_id,), reason=WithdrawReason.IDLE))
        yield
        await story.stopped(replica_id)
        yield


def _progress(phase: RolloutPhase, ids: dict[str, str]) -> RolloutProgressed:
    return RolloutProgressed(**ids, phase=phase, replicas=2, ready_replicas=2, leaving_replicas=0)
