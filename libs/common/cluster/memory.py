"""A cluster in memory. Nothing happens by itself: a test says when a replica starts, writes and ends."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from libs.common.clock import Clock
from libs.common.cluster.abilities import LOCAL, Abilities
from libs.common.cluster.certain import Certain
from libs.common.cluster.changed import EVERYTHING, Changed
from libs.common.cluster.counting import missing
from libs.common.cluster.fencing import Fence, admit, position
from libs.common.cluster.local.shim.back_off import next_back_off_s
from libs.common.cluster.memory_logs import MemoryLogs
from libs.common.cluster.port import (
    Checked,
    Exit,
    LastWords,
    LogPage,
    ObservedReplica,
    ObservedWorkload,
    ReplicaPhase,
    RunWorkload,
    Workload,
)
from libs.common.cluster.usage import Used, UsedGpu
from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable
from libs.common.events.envelope import Position
from libs.common.events.rollout import MoveReason, SpecFailedReason
from libs.common.ids import new_id

HOST = "127.0.0.1"
_FIRST_PORT = 20_000


@dataclass(slots=True)
class _Deployment:
    project_id: str
    replicas: dict[str, ObservedReplica] = field(default_factory=dict)
    is_removed: bool = False


@dataclass(slots=True)
class _Watcher:
    changed: set[str] = field(default_factory=set)
    """What has changed since it was told last."""
    news: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryCluster(Certain):
    """Passes the contract suite of the port. is_available: set False to let every call fail. commands: what
    becomes of those that are run in a replica; any other one succeeds."""

    def __init__(self, clock: Clock, abilities: Abilities = LOCAL) -> None:
        self.abilities = abilities
        self.commands: dict[tuple[str, ...], Checked] = {}
        self.is_available = True
        self._clock = clock
        self._fences: dict[str, Position] = {}
        self._deployments: dict[str, _Deployment] = {}
        self._back_offs: dict[str, float] = {}
        self._next_port = _FIRST_PORT
        self._watchers: list[_Watcher] = []
        self._used: dict[str, Used] = {}
        self._logs = MemoryLogs(clock)

    @property
    def notices(self) -> tuple[str, ...]:
        return ()

    async def apply(self, workload: Workload, *, fence: Fence) -> None:
        self._ask()
        needs_images = any(run.replicas and not run.template.command for run in workload.runs)
        if needs_images and not self.abilities.runs_images:
            raise CannotApply(
                "an image needs a container runtime; this cluster runs processes: set `command`",
                reason=SpecFailedReason.NO_COMMAND,
            )
        self._admit(workload.deployment_id, fence)
        deployment = self._deployments.setdefault(workload.deployment_id, _Deployment(workload.project_id))
        deployment.is_removed = False
        self._stop(deployment, workload.stopping)
        staying = [r for r in deployment.replicas.values() if r.phase is not ReplicaPhase.STOPPING]
        for run in missing(workload, [(replica.replica_id, replica.run_id) for replica in staying]):
            created = self._create(run, workload.traceparent)
            deployment.replicas[created.replica_id] = created
        self._note(workload.deployment_id)

    async def restart(self, deployment_id: str, replica_id: str, *, attempt: int) -> None:
        self._ask()
        deployment = self._deployments.get(deployment_id)
        present = deployment.replicas.get(replica_id) if deployment else None
        if present and present.phase is ReplicaPhase.RUNNING and present.attempt == attempt:
            self.exit(replica_id, signal=15)

    async def run_check(
        self, deployment_id: str, replica_id: str, *, attempt: int, command: Sequence[str], timeout_s: float
    ) -> Checked:
        self._ask()
        deployment = self._deployments.get(deployment_id)
        present = deployment.replicas.get(replica_id) if deployment else None
        if present is None or present.phase is not ReplicaPhase.RUNNING or present.attempt != attempt:
            raise DeploymentUnavailable(f"the process of attempt {attempt} of {replica_id} is gone")
        checked = self.commands.get(tuple(command), Checked(status=0))
        if checked.has_timed_out:
            await asyncio.sleep(timeout_s)
        return checked

    async def take_over(self, deployment_id: str, *, recorded: Position, fence: Position) -> None:
        self._ask()
        if self._fences.get(deployment_id) == recorded:
            self._fences[deployment_id] = fence

    async def remove(self, deployment_id: str, *, fence: Fence) -> None:
        self._ask()
        self._admit(deployment_id, fence)
        if deployment := self._deployments.get(deployment_id):
            deployment.is_removed = True
            self._stop(deployment, frozenset(deployment.replicas))
            self._forget_if_vacated(deployment_id)
            self._note(deployment_id)

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        self._ask()
        return {
            each: ObservedWorkload(
                deployment.project_id, each, self._fences[each].sequence, tuple(deployment.replicas.values())
            )
            for each, deployment in self._deployments.items()
            if deployment_id in (None, each)
        }

    async def watch(self) -> AsyncIterator[Changed]:
        watcher = _Watcher()
        self._watchers.append(watcher)
        try:
            self._ask()
            yield EVERYTHING
            while True:
                await watcher.news.wait()
                watcher.news.clear()
                self._ask()
                changed, watcher.changed = watcher.changed, set()
                yield Changed(frozenset(changed))
        finally:
            self._watchers.remove(watcher)

    async def usage(self) -> Sequence[Used]:
        self._ask()
        running = {
            replica.replica_id: replica.attempt
            for deployment in self._deployments.values()
            for replica in deployment.replicas.values()
            if replica.phase in (ReplicaPhase.RUNNING, ReplicaPhase.STOPPING)
        }
        return [used for used in self._used.values() if running.get(used.replica_id) == used.attempt]

    async def logs(
        self,
        deployment_id: str,
        *,
        limit: int,
        replica_id: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
    ) -> LogPage:
        self._ask()
        deployment = self._deployments.get(deployment_id)
        present = deployment.replicas if deployment else ()
        return self._logs.page(
            deployment_id,
            present,
            limit=limit,
            replica_id=replica_id,
            after=after,
            newest_first=newest_first,
        )

    async def last_words(
        self, deployment_id: str, replica_id: str, *, most_bytes: int, ends_within_s: float
    ) -> AsyncIterator[LastWords]:
        self._ask()
        if self.abilities.keeps_last_words:
            raise CannotApply("what a replica wrote stays here when it is gone")
        deployment = self._deployments.get(deployment_id)
        if deployment is not None and replica_id in deployment.replicas:
            async for words in self._logs.last_words(
                deployment_id, replica_id, most_bytes=most_bytes, ends_within_s=ends_within_s
            ):
                yield words

    def start(self, replica_id: str) -> None:
        """A pending or exited replica gets a process."""
        present = self._replica(replica_id)
        ports = present.ports or {port: self._take_port() for port in present.template.ports}
        self._put(
            replace(
                present,
                phase=ReplicaPhase.RUNNING,
                host=HOST,
                ports=ports,
                attempt=present.attempt + (present.phase is ReplicaPhase.EXITED),
                started_at=self._clock(),
                restart_at=None,
                message=None,
            )
        )

    def exit(
        self,
        replica_id: str,
        *,
        status: int | None = None,
        signal: int | None = None,
        message: str | None = None,
    ) -> None:
        """Its process ends unasked; `start` starts it again."""
        present = self._replica(replica_id)
        now = self._clock()
        ran_s = (now - (present.started_at or now)).total_seconds()
        wait_s = next_back_off_s(self._back_offs.get(replica_id), ran_s)
        self._back_offs[replica_id] = wait_s
        self._put(
            replace(
                present,
                phase=ReplicaPhase.EXITED,
                last_exit=Exit(status=status, signal=signal, at=now),
                restart_at=now + timedelta(seconds=wait_s),
                message=message,
            )
        )

    def make_unreadable(self, replica_id: str, message: str) -> None:
        """What it wrote cannot be read, as on a machine that does not answer; "" when it can again."""
        self._logs.unreadable.pop(replica_id, None)
        if message:
            self._logs.unreadable[replica_id] = message

    def mark(self, replica_id: str, reason: MoveReason | None) -> None:
        """Something is the matter with the place where it runs; None for nothing any more."""
        self._put(replace(self._replica(replica_id), must_move=reason))

    def end(self, replica_id: str) -> None:
        """It is gone, as one is that was told to end."""
        deployment_id = self._deployment_of(replica_id)
        del self._deployments[deployment_id].replicas[replica_id]
        self._logs.end(deployment_id, replica_id, forget=not self.abilities.keeps_last_words)
        self._forget_if_vacated(deployment_id)
        self._note(deployment_id)

    def use(
        self,
        replica_id: str,
        *,
        cpu_cores: float | None,
        memory_bytes: float | None,
        window_s: float = 15.0,
        cpus: float | None = None,
        memory_gib: float | None = None,
        ended_at: float | None = None,
        gpus: tuple[UsedGpu, ...] = (),
    ) -> None:
        """This is measured of its present process, now unless said otherwise."""
        present = self._replica(replica_id)
        self._used[replica_id] = Used(
            deployment_id=self._deployment_of(replica_id),
            replica_id=replica_id,
            attempt=present.attempt,
            ended_at=self._clock().timestamp() if ended_at is None else ended_at,
            window_s=window_s,
            cpu_cores=cpu_cores,
            memory_bytes=memory_bytes,
            cpus=cpus,
            memory_gib=memory_gib,
            gpus=gpus,
        )

    def write(self, replica_id: str, message: str) -> None:
        """It writes one line."""
        self._logs.write(self._deployment_of(replica_id), replica_id, message)

    def advance(self) -> None:
        """Whatever a cluster would have done by now: start the pending and the due, end the stopping."""
        now = self._clock()
        for deployment in list(self._deployments.values()):
            for replica in list(deployment.replicas.values()):
                if replica.phase is ReplicaPhase.STOPPING:
                    self.end(replica.replica_id)
                elif replica.phase is not ReplicaPhase.RUNNING and (replica.restart_at or now) <= now:
                    self.start(replica.replica_id)

    def _ask(self) -> None:
        if not self.is_available:
            raise ClusterUnavailable("the cluster does not answer")

    def _admit(self, deployment_id: str, fence: Fence) -> None:
        admit(self._fences.get(deployment_id, Position(0)), position(fence))
        self._fences[deployment_id] = position(fence)

    def _create(self, run: RunWorkload, traceparent: str | None) -> ObservedReplica:
        return ObservedReplica(
            replica_id=new_id(),
            run_id=run.run_id,
            spec_id=run.spec_id,
            template=run.template,
            phase=ReplicaPhase.PENDING,
            created_at=self._clock(),
            traceparent=traceparent,
        )

    def _stop(self, deployment: _Deployment, replica_ids: frozenset[str]) -> None:
        for replica_id in replica_ids & deployment.replicas.keys():
            present = deployment.replicas[replica_id]
            deployment.replicas[replica_id] = replace(present, phase=ReplicaPhase.STOPPING)

    def _forget_if_vacated(self, deployment_id: str) -> None:
        deployment = self._deployments[deployment_id]
        if deployment.is_removed and not deployment.replicas:
            del self._deployments[deployment_id]
            self._logs.forget(deployment_id)

    def _take_port(self) -> int:
        self._next_port += 1
        return self._next_port

    def _deployment_of(self, replica_id: str) -> str:
        return next(each for each, d in self._deployments.items() if replica_id in d.replicas)

    def _replica(self, replica_id: str) -> ObservedReplica:
        return self._deployments[self._deployment_of(replica_id)].replicas[replica_id]

    def _put(self, replica: ObservedReplica) -> None:
        deployment_id = self._deployment_of(replica.replica_id)
        self._deployments[deployment_id].replicas[replica.replica_id] = replica
        self._note(deployment_id)

    def _note(self, deployment_id: str) -> None:
        for watcher in self._watchers:
            watcher.changed.add(deployment_id)
            watcher.news.set()
