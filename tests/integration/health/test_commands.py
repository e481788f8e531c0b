"""Checks that are commands, over a real log and real replica processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.shim import files
from libs.common.cluster.port import RunWorkload, Workload
from libs.common.events.envelope import Recorded, select
from libs.common.events.replica import Replica, ReplicaCondemned, ReplicaState
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.runtime import Progress
from libs.common.spec.model import ExecAction, HealthCheck, HealthChecks
from libs.common.spec.template import Template, run_id
from libs.common.state.view import fold
from services.health.prober import Prober
from services.health.watching import watch_cluster
from tests.support.polling import eventually
from tests.support.processes import is_alive, kill, parent


def runs(*command: str, failure_threshold: int = 1) -> HealthCheck:
    return HealthCheck(
        exec=ExecAction(command=command),
        period_seconds=1,
        timeout_seconds=30,
        failure_threshold=failure_threshold,
    )


@dataclass
class Stage:
    log: JetStreamLog
    cluster: LocalCluster
    root: Path
    deployment_id: str

    async def apply(self, checks: HealthChecks, *command: str) -> None:
        of = Template(image="a", command=command, ports=(8000,), machine_type="C4", health_checks=checks)
        run = RunWorkload(run_id(of), "s", of, 1)
        await self.cluster.apply(Workload("default", self.deployment_id, (run,)), fence=1)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Progress]:
        progress = Progress()
        task = asyncio.ensure_future(
            watch_cluster(self.log, self.cluster, Prober(), progress=progress, clock=utc_now, ticks=monotonic)
        )
        try:
            yield progress
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def events(self) -> list[Recorded]:
        return [event async for event in self.log.read(select(aggregate_id=self.deployment_id))]

    async def until(self, state: ReplicaState) -> Replica:
        """The one replica, as soon as it is so."""
        found: list[Replica] = []

        async def is_so() -> bool:
            view = fold((await self.log.load(select(aggregate_id=self.deployment_id))).events)
            found[:] = [r for r in (view.roster.replicas if view else ()) if r.state is state]
            return bool(found)

        await eventually(is_so, because=f"the replica was never {state}")
        return found[0]


@pytest.fixture
async def stage(jetstream_log: JetStreamLog, tmp_path: Path) -> AsyncIterator[Stage]:
    cluster = LocalCluster(tmp_path / "replicas", grace_seconds=5)
    yield Stage(jetstream_log, cluster, tmp_path / "replicas", new_id())
    await cluster.shutdown(grace_seconds=0)


async def test_a_command_makes_a_replica_ready_and_unready(stage: Stage) -> None:
    """It looks for a file that the replica makes, which listens on no port at all."""
    check = runs("test", "-f", "$(HOME)/ready")
    await stage.apply(HealthChecks(readiness=check), "sh", "-c", "touch ready; exec sleep 1000")
    async with stage.watching():
        replica = await stage.until(ReplicaState.RUNNING)
        ready = next(stage.root.glob(f"deployments/*/{replica.replica_id}/cwd/ready"))
        ready.unlink()
        replica = await stage.until(ReplicaState.UNREADY)
        assert replica.message == "readiness probe: exited with status 1"
        ready.touch()
        assert (await stage.until(ReplicaState.RUNNING)).attempt == 0


async def test_a_command_that_fails_condemns_and_what_it_wrote_is_nowhere_in_the_log(stage: Stage) -> None:
    check = runs("sh", "-c", "echo password=hunter2; exit 7", failure_threshold=2)
    await stage.apply(HealthChecks(readiness=runs("true"), liveness=check), "sleep", "1000")
    async with stage.watching():
        replica = await stage.until(ReplicaState.UNREADY)
        assert (replica.condemned_attempt, replica.message) == (0, "liveness probe: exited with status 7")
    events = await stage.events()
    assert [event.fact.probe for event in events if isinstance(event.fact, ReplicaCondemned)] == ["liveness"]
    said = [str(event.data) for event in events if event.type != "SpecRegistered"]
    assert not any("password=hunter2" in each for each in said)


async def test_a_command_that_never_ends_fails_by_its_time_limit(stage: Stage) -> None:
    check = runs("sleep", "1000").model_copy(update={"timeout_seconds": 1})
    await stage.apply(HealthChecks(startup=check), "sleep", "1000")
    async with stage.watching():
        replica = await stage.until(ReplicaState.UNREADY)
        assert replica.message == "startup probe: timed out after 1 s"


async def test_a_program_that_is_not_there_is_told(stage: Stage) -> None:
    await stage.apply(HealthChecks(startup=runs("no-such-program")), "sleep", "1000")
    async with stage.watching():
        replica = await stage.until(ReplicaState.UNREADY)
        assert replica.message == "startup probe: cannot start: 'no-such-program' was not found in PATH"


async def test_a_replica_without_a_shim_is_held_until_the_next_one_checks_it(stage: Stage) -> None:
    """Nobody could ask it, which says nothing about the replica."""
    await stage.apply(HealthChecks(readiness=runs("true"), liveness=runs("true")), "sleep", "1000")
    async with stage.watching() as progress:
        replica = await stage.until(ReplicaState.RUNNING)
        # The one above the replica: each check, too, looks like a shim until it runs its command, and like
        # the replica from then on.
        directory = stage.root / "deployments" / stage.deployment_id / replica.replica_id
        state = files.read_json(str(directory / files.STATE))
        assert state is not None
        pid = parent(state["pid"])
        assert pid is not None
        kill(pid)
        await eventually(lambda: not is_alive(pid))
        await eventually(lambda: files.is_supervised(str(directory)))
        assert progress.is_ready
        assert (await stage.until(ReplicaState.RUNNING)) == replica
