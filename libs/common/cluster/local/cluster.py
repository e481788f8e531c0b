"""The cluster of one machine: each replica is a process of its own, looked after by a shim of its own.

Everything there is to know is in files, so any number of processes may have a `LocalCluster` on one home, and
none of them has to live: what runs goes on, and the next one to look finds it again.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path

import structlog

from libs.common.back_off import BackOff
from libs.common.clock import Clock, utc_now
from libs.common.cluster.abilities import LOCAL, Abilities
from libs.common.cluster.certain import Certain
from libs.common.cluster.changed import Changed
from libs.common.cluster.counting import missing
from libs.common.cluster.fencing import Fence, position
from libs.common.cluster.local import lines
from libs.common.cluster.local.checking import run_check
from libs.common.cluster.local.home import Home, WorkloadRecord, is_stopping
from libs.common.cluster.local.journal import Journal
from libs.common.cluster.local.launch import Starter
from libs.common.cluster.local.observation import ONE_DEPLOYMENTS, Observed, Observer
from libs.common.cluster.local.record import Record, held_by, load_record
from libs.common.cluster.local.shim import files, limits, proc
from libs.common.cluster.local.shim.confine import notices
from libs.common.cluster.local.shim.process import kill
from libs.common.cluster.local.shim.state import State
from libs.common.cluster.local.spare import Spare
from libs.common.cluster.local.usage import Meter
from libs.common.cluster.local.watching import watch
from libs.common.cluster.port import Checked, LastWords, LogPage, ObservedWorkload, Workload
from libs.common.cluster.usage import Used
from libs.common.errors import CannotApply, ClusterUnavailable, DeploymentUnavailable
from libs.common.events.envelope import Position
from libs.common.events.rollout import SpecFailedReason
from libs.common.gpus.port import Gpus
from libs.common.ids import new_id
from libs.common.machine_types.catalogue import MachineTypes

logger = structlog.get_logger()

_OBSERVED_AT_ONCE = 200
_LAUNCH_AGAIN_AFTER_S = 2.0
"""A shim that ends as soon as it is started is not started faster than this by one process."""
_OVERDUE_S = 5.0
"""At a shutdown: so long after the grace period what is left is killed without its shim."""
_ENDING = BackOff(0.02, 0.2, factor=1.5)
"""At a shutdown: between two looks at what is left."""


class LocalCluster(Certain):
    """See the port. A replica's process gets SIGKILL `grace_seconds` after SIGTERM. root: in the platform's
    home, of which the replicas see nothing but what is their own. python: runs the shims, and the directory
    it is in comes first in the PATH of the replicas. machine_types: what a new replica's record says of
    its own. gpus: what its processes use of them; None where nobody measures that."""

    def __init__(
        self,
        root: Path,
        *,
        grace_seconds: float = 10.0,
        clock: Clock = utc_now,
        python: str = sys.executable,
        abilities: Abilities = LOCAL,
        machine_types: MachineTypes | None = None,
        gpus: Gpus | None = None,
    ) -> None:
        self._home = Home(root)
        self._spare = Spare(self._home.root)
        self._grace_s = grace_seconds
        self._clock = clock
        self._abilities = abilities
        self._starter = Starter(python)
        self._path = f"{Path(python).parent}:{os.environ.get('PATH', os.defpath)}"
        self._journal = Journal(self._home.journal)
        self._observer = Observer(self._home, clock)
        self._launched_at: dict[Path, float] = {}
        self._machine_types = machine_types or {}
        self._meter = Meter(clock, gpus=gpus)

    @property
    def abilities(self) -> Abilities:
        return self._abilities

    @property
    def notices(self) -> tuple[str, ...]:
        return (*notices(), *limits.notices())

    async def apply(self, workload: Workload, *, fence: Fence) -> None:
        for run in workload.runs:
            if run.replicas and not run.template.command:
                raise CannotApply(
                    f"the image {run.template.image} needs a container runtime; this cluster runs processes: "
                    "set `command`",
                    reason=SpecFailedReason.NO_COMMAND,
                )
        with _translated():
            await self._attend(await asyncio.to_thread(self._change, workload, fence))

    async def restart(self, deployment_id: str, replica_id: str, *, attempt: int) -> None:
        with _translated():
            directory = self._home.deployment(deployment_id) / replica_id
            state = State(files.read_json(f"{directory}/{files.STATE}"))
            if state.attempt == attempt and state.pid is not None and directory.exists():
                files.write_json(f"{directory}/{files.RESTART}", {"attempt": attempt})
                await self._attend([directory])

    async def run_check(
        self, deployment_id: str, replica_id: str, *, attempt: int, command: Sequence[str], timeout_s: float
    ) -> Checked:
        with _translated():
            directory = self._home.deployment(deployment_id) / replica_id
            return await run_check(directory, attempt=attempt, command=command, timeout_s=timeout_s)

    async def take_over(self, deployment_id: str, *, recorded: Position, fence: Position) -> None:
        with _translated():
            await asyncio.to_thread(self._take_over, deployment_id, recorded, fence)

    async def remove(self, deployment_id: str, *, fence: Fence) -> None:
        with _translated():
            await self._attend(
                await asyncio.to_thread(
                    self._spare.for_ending, partial(self._write_removal, deployment_id, fence)
                )
            )

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        """Also starts a shim for each replica that has lost its own, and deletes what was removed and is
        gone."""
        with _translated():
            asked = self._home.deployment_ids() if deployment_id is None else [deployment_id]
            if deployment_id is None:
                self._spare.keep()
                self._observer.forget_all_but(asked)
            seen = await self._observed(asked)
            for vacated in seen.vacated:
                with _logged_for(vacated):
                    await asyncio.to_thread(self._delete, vacated)
            if unattended := [path for path in seen.unattended if self._may_launch(path)]:
                logger.info("shims_missing", replica_ids=[path.name for path in unattended])
                await self._attend(unattended, of_many=True)
                seen = await self._observed(asked)
            return seen.workloads

    async def _observed(self, deployment_ids: Sequence[str]) -> Observed:
        """A part at a time, so that whoever looks at thousands can do something else meanwhile."""
        seen = Observed()
        for start in range(0, len(deployment_ids), _OBSERVED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            self._observer.observe(deployment_ids[start : start + _OBSERVED_AT_ONCE], seen)
        return seen

    async def usage(self) -> Sequence[Used]:
        with _translated():
            deployment_ids = self._home.deployment_ids()
            await self._observed(deployment_ids)
            return await self._meter.measure(self._observer.running())

    def watch(self) -> AsyncIterator[Changed]:
        return watch(self._home, self._clock)

    async def logs(
        self,
        deployment_id: str,
        *,
        limit: int,
        replica_id: str | None = None,
        after: str | None = None,
        newest_first: bool = False,
    ) -> LogPage:
        with _translated():
            found = lines.read_lines(
                self._home,
                deployment_id,
                replica_id=replica_id,
                after=after,
                newest_first=newest_first,
                now=self._clock(),
            )
            some = await asyncio.to_thread(lambda: tuple(islice(found, limit + 1)))
            return LogPage(some[:limit], has_more=len(some) > limit)

    def last_words(
        self, deployment_id: str, replica_id: str, *, most_bytes: int, ends_within_s: float
    ) -> AsyncIterator[LastWords]:
        raise CannotApply(
            f"replica {replica_id} of {deployment_id}: its whole log stays here when it is gone, so its last "
            f"{most_bytes} bytes are not asked for, nor waited for {ends_within_s:g} s"
        )

    async def shutdown(self, grace_seconds: float | None = None) -> None:
        """End every replica of the home; returns when none is left. The workloads stay: the next `apply`
        creates new replicas. Nobody may apply meanwhile."""
        grace_s = self._grace_s if grace_seconds is None else grace_seconds
        with _translated():
            known = {path.name for path in self._replicas()} | {path.name[-32:] for path in self._gone()}
            for directory in self._replicas():
                self._spare.for_ending(partial(self._home.order_stop, directory, grace_s))
            waited_s, pause_s = 0.0, 0.0
            while left := self._replicas():
                await self._attend([path for path in left if not files.is_supervised(str(path))])
                if waited_s > grace_s + _OVERDUE_S:
                    _kill_all({path.name for path in left})
                for directory in left:
                    files.wake(str(directory))
                pause_s = _ENDING.next_s(pause_s)
                await asyncio.sleep(pause_s)
                waited_s += pause_s
            # The kernel sends no event for the end of another's process.
            while await asyncio.to_thread(_kill_all, known) or self._are_shims_left():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def _take_over(self, deployment_id: str, recorded: Position, fence: Position) -> None:
        with self._home.locked(deployment_id):
            if self._home.fence(deployment_id) == recorded:
                self._home.replace_fence(deployment_id, fence)

    def _change(self, workload: Workload, fence: Fence) -> list[Path]:
        if workload.stopping:
            return self._spare.for_ending(partial(self._write, workload, fence))
        self._spare.keep()
        return self._write(workload, fence)

    def _write(self, workload: Workload, fence: Fence) -> list[Path]:
        """Put the intent on disk; returns the replicas whose shim has something to do."""
        deployment_id = workload.deployment_id
        home = self._home
        with home.locked(deployment_id):
            sequence = home.admit(deployment_id, position(fence))
            home.discard_unfinished(deployment_id)
            before = home.workload(deployment_id) or WorkloadRecord(workload.project_id, sequence)
            stopped = [path for path in home.replicas(deployment_id) if path.name in workload.stopping]
            for directory in stopped:
                home.order_stop(directory, self._grace_s)
            staying = [path for path in home.replicas(deployment_id) if not is_stopping(path)]
            records = [record for path in staying if (record := load_record(path)) is not None]
            lacking = missing(workload, [(record.replica_id, record.run_id) for record in records])
            after = WorkloadRecord(workload.project_id, sequence, before.next_order + len(lacking))
            if after != before or not before.next_order:
                home.save_workload(deployment_id, after)
            created = [
                home.create(
                    Record(
                        replica_id=new_id(),
                        deployment_id=deployment_id,
                        run_id=run.run_id,
                        spec_id=run.spec_id,
                        template=run.template,
                        order=before.next_order + number,
                        created_at=self._clock(),
                        traceparent=workload.traceparent,
                        path=self._path,
                        grace_s=self._grace_s,
                        **held_by(self._machine_types.get(run.template.machine_type)),
                    )
                )
                for number, run in enumerate(lacking)
            ]
        self._journal.note(deployment_id)
        unattended = [path for path in staying if not files.is_supervised(str(path))]
        return [*stopped, *unattended, *created]

    def _write_removal(self, deployment_id: str, fence: Fence) -> list[Path]:
        home = self._home
        with home.locked(deployment_id):
            sequence = home.admit(deployment_id, position(fence))
            home.remember_removal(deployment_id, sequence)
            home.mark_removed(deployment_id, sequence)
            home.discard_unfinished(deployment_id)
            left = home.replicas(deployment_id)
            for directory in left:
                home.order_stop(directory, self._grace_s)
            home.delete(deployment_id)
        self._journal.note(deployment_id)
        return left

    def _delete(self, deployment_id: str) -> None:
        with self._home.locked(deployment_id):
            self._home.delete(deployment_id)

    async def _attend(self, directories: Iterable[Path], *, of_many: bool = False) -> None:
        """Make each replica's shim look at its orders; start one where there is none.

        of_many: of several deployments, so that the trouble of one is told and keeps nobody else waiting.
        """
        failed: list[Exception] = []
        for directory in directories:
            try:
                with _logged_for(directory.parent.name) if of_many else nullcontext():
                    if not files.wake(str(directory)):
                        await asyncio.to_thread(self._starter.launch, directory)
            except (OSError, ClusterUnavailable) as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _may_launch(self, directory: Path) -> bool:
        now = self._clock().timestamp()
        if now - self._launched_at.get(directory, 0.0) < _LAUNCH_AGAIN_AFTER_S:
            return False
        self._launched_at[directory] = now
        return True

    def _replicas(self) -> list[Path]:
        return [path for each in self._home.deployment_ids() for path in self._home.replicas(each)]

    def _are_shims_left(self) -> bool:
        """Whether a shim that has nothing left to look after is still on its way out."""
        return any(files.is_supervised(str(path)) for path in self._gone())

    def _gone(self) -> list[Path]:
        return [path for each in self._home.deployment_ids() for path in self._home.gone(each)]


def _kill_all(replica_ids: set[str]) -> bool:
    """SIGKILL whatever is one of these replicas'; False when there is nothing."""
    carriers = proc.carriers(replica_ids)
    for pid in carriers:
        kill(pid)
    return any(proc.start_ticks(pid) is not None for pid in carriers)


@contextmanager
def _logged_for(deployment_id: str) -> Iterator[None]:
    """What fails for one deployment is logged, and tried again at the next seen."""
    try:
        yield
    except (OSError, DeploymentUnavailable) as error:
        logger.warning("deployment cannot be looked after", deployment_id=deployment_id, error=str(error))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in ONE_DEPLOYMENTS:
            raise DeploymentUnavailable(f"the deployment's files: {error}") from error
        raise ClusterUnavailable(f"the local cluster's files: {error}") from error
