"""Health over a real log and real replica processes: what happens to them becomes facts, and soon.

The replicas are those of `examples/hello`; `/ready` and `/live` are turned on and off from here.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.port import RunWorkload, Workload
from libs.common.events.envelope import Recorded, select
from libs.common.events.replica import Replica, ReplicaCondemned, ReplicaState
from libs.common.ids import new_id
from libs.common.log.jetstream import JetStreamLog
from libs.common.runtime import Progress
from libs.common.spec.model import HealthCheck, HealthChecks, NameValue
from libs.common.spec.template import Template, run_id
from libs.common.state.replica import Roster
from libs.common.state.view import fold
from services.health.prober import Prober
from services.health.watching import watch_cluster
from tests.support.deployments import Storyteller
from tests.support.plain_http import plain_client
from tests.support.polling import eventually, let_time_pass
from tests.support.tries import one_of

HELLO = Path(__file__).parents[3] / "examples" / "hello" / "app.py"

QUICK = HealthCheck(path="/ready", period_seconds=1, timeout_seconds=60, failure_threshold=1)
STARTS = HealthCheck(path="/live", period_seconds=1, timeout_seconds=60, failure_threshold=60)
"""For as long as an interpreter takes to start on a busy machine."""


def template(
    checks: HealthChecks | None = None, *, command: tuple[str, ...] | None = None, **env: str
) -> Template:
    return Template(
        image="hello",
        command=command or (sys.executable, str(HELLO)),
        env=tuple(NameValue(name=name, value=value) for name, value in env.items()),
        ports=(8000,),
        machine_type="C4",
        health_checks=checks,
    )


@dataclass
class Stage:
    """One deployment on a local cluster, and a health that can be started and killed."""

    log: JetStreamLog
    cluster: LocalCluster
    deployment_id: str

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

    async def apply(self, of: Template, replicas: int = 1, *, stopping: frozenset[str] = frozenset()) -> None:
        run = RunWorkload(run_id(of), "s", of, replicas)
        await self.cluster.apply(
            Workload("default", self.deployment_id, (run,), retiring=stopping, stopping=stopping), fence=1
        )

    async def listens(self) -> datetime:
        """Wait until the one replica's process accepts connections, however long an interpreter takes for it;
        that moment."""

        async def accepts() -> bool:
            (replica,) = (await self.cluster.observe(self.deployment_id))[self.deployment_id].replicas
            if replica.address is None:
                return False
            host, _, port = replica.address.rpartition(":")
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except ConnectionRefusedError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        await eventually(accepts)
        return utc_now()

    async def events(self) -> list[Recorded]:
        return [event async for event in self.log.read(select(aggregate_id=self.deployment_id))]

    async def types(self) -> list[str]:
        """Without the pages of the roster."""
        return [event.type for event in await self.events() if event.page is None]

    async def roster(self) -> Roster:
        view = fold((await self.log.load(select(aggregate_id=self.deployment_id))).events)
        return view.roster if view else Roster()

    async def until(self, state: ReplicaState, *, attempt: int = 0) -> Replica:
        """The one replica, as soon as it is so."""
        found: list[Replica] = []

        async def is_so() -> bool:
            found[:] = [r for r in (await self.roster()).replicas if (r.state, r.attempt) == (state, attempt)]
            return bool(found)

        await eventually(is_so, because=f"the replica was never {state}")
        return found[0]


@pytest.fixture
async def stage(jetstream_log: JetStreamLog, tmp_path: Path) -> AsyncIterator[Stage]:
    cluster = LocalCluster(tmp_path / "replicas", grace_seconds=5)
    yield Stage(jetstream_log, cluster, new_id())
    await cluster.shutdown(grace_seconds=0)


async def turn(replica: Replica, switch: str, to: str) -> None:
    async with plain_client() as client:
        (await client.get(f"http://{replica.address}/{switch}?set={to}")).raise_for_status()


async def becomes_ready_soon(stage: Stage, of: Template) -> Replica:
    """At least one of some is ready well before the next of the usual checks, which comes after ten seconds:
    a machine may stand still. The last of them."""

    async def one_more() -> tuple[float, Replica]:
        one = Stage(stage.log, stage.cluster, new_id())
        await one.apply(of)
        listens_at = await one.listens()
        replica = await one.until(ReplicaState.RUNNING)
        assert replica.ready_at is not None
        return (replica.ready_at - listens_at).total_seconds(), replica

    _, replica = await one_of(one_more, lambda took: took[0] < 9)
    return replica


async def test_without_checks_it_is_ready_as_soon_as_its_port_accepts(stage: Stage) -> None:
    async with stage.watching():
        assert (await becomes_ready_soon(stage, template())).reason == "port_accepted"


async def test_a_default_period_does_not_delay_a_first_readiness(stage: Stage) -> None:
    """Its port is closed at the first attempt, and the next is due ten seconds later."""
    checks = HealthChecks(startup=HealthCheck(path="/live"), readiness=HealthCheck(path="/ready"))
    async with stage.watching():
        await becomes_ready_soon(stage, template(checks))


async def test_a_process_has_its_whole_budget_to_start(stage: Stage) -> None:
    """Three failures, eight seconds apart: it is ready a little after the second one could have come, and
    must not be condemned before. By the time that its process runs, however long its interpreter takes."""
    slow = HealthCheck(path="/ready", period_seconds=8, timeout_seconds=8, failure_threshold=3)
    async with stage.watching():
        await stage.apply(template(HealthChecks(startup=slow), START_SECONDS="1000"))
        await stage.listens()
        starting = await stage.until(ReplicaState.STARTING)
        assert starting.started_at is not None
        await let_time_pass(max(0.0, 16.5 - (utc_now() - starting.started_at).total_seconds()))
        await turn(starting, "ready", "on")
        assert (await stage.until(ReplicaState.RUNNING)).attempt == 0


async def test_readiness_comes_and_goes_and_restarts_nothing(stage: Stage) -> None:
    async with stage.watching():
        await stage.apply(template(HealthChecks(readiness=QUICK)))
        first = await stage.until(ReplicaState.RUNNING)
        await turn(first, "ready", "off")
        unready = await stage.until(ReplicaState.UNREADY)
        assert unready.message == "readiness probe: HTTP 503"
        await turn(first, "ready", "on")
        again = await stage.until(ReplicaState.RUNNING)
        assert (again.attempt, again.address, again.started_at) == (0, first.address, first.started_at)
        assert again.ready_at == first.ready_at


async def test_one_that_is_never_ready_says_why(stage: Stage) -> None:
    async with stage.watching():
        await stage.apply(template(HealthChecks(readiness=QUICK), START_SECONDS="1000"))

        async def has_said() -> bool:
            return [r.message for r in (await stage.roster()).replicas] == ["readiness probe: HTTP 503"]

        await eventually(has_said)
        (replica,) = (await stage.roster()).replicas
        assert replica.state is ReplicaState.STARTING


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        pytest.param(
            HealthChecks(startup=STARTS, liveness=QUICK.model_copy(update={"path": "/live"})),
            "liveness probe: HTTP 503",
            id="liveness",
        ),
        pytest.param(
            HealthChecks(startup=QUICK.model_copy(update={"path": "/nothing"})),
            "startup probe: HTTP 404",
            id="startup",
        ),
    ],
)
async def test_a_condemned_process_is_restarted_when_it_is_asked_for(
    stage: Stage, checks: HealthChecks, message: str
) -> None:
    await stage.apply(template(checks))
    await stage.listens()
    async with stage.watching():
        if checks.liveness:
            await turn(await stage.until(ReplicaState.RUNNING), "live", "off")
        replica = await stage.until(ReplicaState.UNREADY)
        assert (replica.condemned_attempt, replica.message) == (0, message)
        await stage.cluster.restart(stage.deployment_id, replica.replica_id, attempt=0)

        async def is_restarted() -> bool:
            return "ReplicaRestarted" in await stage.types()

        await eventually(is_restarted)
        events = await stage.events()
        condemned = next(e.fact for e in events if isinstance(e.fact, ReplicaCondemned))
        assert condemned.message == message
        restarted = next(e for e in events if e.type == "ReplicaRestarted")
        assert (restarted.data["reason"], restarted.data["message"]) == ("condemned", message)


async def test_a_crash_is_told_with_its_status_and_so_is_the_restart(stage: Stage) -> None:
    async with stage.watching():
        await stage.apply(template(HealthChecks(readiness=QUICK)))
        first = await stage.until(ReplicaState.RUNNING)
        async with plain_client() as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://{first.address}/crash?status=3")
        after = await stage.until(ReplicaState.RUNNING, attempt=1)
        assert (len(first.changed_at), len(after.changed_at)) == (1, 3)
        events = [e for e in await stage.events() if e.type != "RosterRecorded"]
        told = [(e.type, e.data.get("message")) for e in events]
        crash = told.index(("ReplicaStopped", "exited with status 3"))
        assert told[crash + 1] == ("ReplicaRestarted", "exited with status 3")
        assert told[-1][0] == "ReplicaBecameReady"


async def test_a_crash_loop_shows_failed_and_why(stage: Stage) -> None:
    async with stage.watching():
        await stage.apply(template(command=("sh", "-c", "exit 7")))
        replica = await stage.until(ReplicaState.FAILED, attempt=1)
        assert replica.message == "exited with status 7"


async def test_a_restart_of_health_changes_nothing_of_what_is_ready(stage: Stage) -> None:
    of = template(HealthChecks(readiness=QUICK, liveness=STARTS))
    async with stage.watching():
        await stage.apply(of)
        first = await stage.until(ReplicaState.RUNNING)
    told = await stage.types()
    async with stage.watching() as progress:
        await eventually(lambda: progress.is_ready)
        await turn(first, "ready", "off")
        await stage.until(ReplicaState.UNREADY)
    assert await stage.types() == [*told, "ReplicaBecameUnready"]


async def test_replicas_that_are_told_to_stop_leave_the_roster(stage: Stage) -> None:
    async with stage.watching():
        await stage.apply(template(), 2)

        async def are_ready() -> bool:
            return len((await stage.roster()).ready()) == 2

        await eventually(are_ready)
        leaving, staying = (await stage.roster()).replicas
        await Storyteller(stage.log, stage.deployment_id).retire(leaving.replica_id)
        await stage.apply(template(), stopping=frozenset({leaving.replica_id}))

        async def is_gone() -> bool:
            return (await stage.roster()).replicas == (staying,)

        await eventually(is_gone)
        assert (await stage.events())[-1].data["reason"] == "stopped"


async def test_the_longest_command_in_a_crash_loop_keeps_nobody_from_being_watched(stage: Stage) -> None:
    """Nine rosters lines with this program in their message were more than the broker takes."""
    neighbour = Stage(stage.log, stage.cluster, new_id())
    async with stage.watching() as progress:
        await stage.apply(template(command=("x" * 130_000,)), 9)

        async def all_failed() -> bool:
            states = [replica.state for replica in (await stage.roster()).replicas]
            return states == [ReplicaState.FAILED] * 9

        await eventually(all_failed)
        assert all(len(replica.message or "") <= 256 for replica in (await stage.roster()).replicas)
        assert all("characters)" in (replica.message or "") for replica in (await stage.roster()).replicas)
        await neighbour.apply(template())
        await neighbour.until(ReplicaState.RUNNING)
        assert progress.is_ready
        assert progress.set_aside == {}


async def test_a_startup_check_that_has_passed_is_not_repeated_by_the_next_health(stage: Stage) -> None:
    """`/live` passes once and then never again; the process must not be condemned for it."""
    checks = HealthChecks(
        startup=QUICK.model_copy(update={"path": "/live"}),
        readiness=HealthCheck(path="/ready", period_seconds=1, timeout_seconds=60),
    )
    await stage.apply(template(checks, START_SECONDS="1000"))
    await stage.listens()
    async with stage.watching():

        async def has_passed() -> bool:
            return [r.startup_passed_attempt for r in (await stage.roster()).replicas] == [0]

        await eventually(has_passed)
    (replica,) = (await stage.roster()).replicas
    assert replica.state is ReplicaState.STARTING
    await turn(replica, "live", "off")
    async with stage.watching():

        async def says_why() -> bool:
            return [r.message for r in (await stage.roster()).replicas] == ["readiness probe: HTTP 503"]

        await eventually(says_why)
    assert "ReplicaCondemned" not in await stage.types()
