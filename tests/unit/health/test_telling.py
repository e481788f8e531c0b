"""How the checks stand is told soon after it changed, again from time to time, and never too often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain

from libs.common.bus.checks import MOST_BYTES, CheckSignal, DeploymentSignal, ReplicaSignal, encoded
from libs.common.clock import monotonic, utc_now
from libs.common.cluster.memory import MemoryCluster
from libs.common.cluster.port import Checked, RunWorkload, Workload
from libs.common.set_aside import Aside
from libs.common.spec.model import ExecAction, HealthCheck, HealthChecks
from libs.common.spec.template import Template
from services.health.probe_runner import ProbeRunner
from services.health.prober import Prober
from services.health.telling import AGAIN_S, MOST_AT_ONCE, Teller
from tests.support.polling import eventually

CHECK = HealthCheck(exec=ExecAction(command=("check",)), period_seconds=1, timeout_seconds=2)


class Scene:
    """A teller whose time is `now`, and what it has told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[str, DeploymentSignal]] = []
        self.cluster = MemoryCluster(utc_now)
        self.runner = ProbeRunner(
            Prober(),
            clock=utc_now,
            ticks=monotonic,
            on_verdict=lambda _: None,
            on_change=self.note_change,
            aside=Aside("probe", {}),
            cluster=self.cluster,
        )
        self.teller = Teller(self.publish, self.runner, clock=utc_now, ticks=lambda: self.now)

    def note_change(self, deployment_id: str) -> None:
        self.teller.changed(deployment_id)

    async def publish(self, deployment_id: str, signal: DeploymentSignal) -> None:
        self.told.append((deployment_id, signal))

    async def tell(self) -> list[str]:
        self.told.clear()
        await self.teller.tell()
        return [deployment_id for deployment_id, _ in self.told]

    async def show(self, deployment_id: str, *, checks: HealthChecks | None = None) -> None:
        of = Template(image="a", command=("a",), ports=(8000,), machine_type="C4", health_checks=checks)
        run = RunWorkload("run", "spec", of, 1)
        await self.cluster.apply(Workload("default", deployment_id, (run,)), fence=1)
        self.cluster.advance()
        await self.see(deployment_id)

    async def see(self, deployment_id: str) -> None:
        shown = (await self.cluster.observe(deployment_id))[deployment_id]
        self.runner.attend_one(deployment_id, shown, None)
        self.teller.show(deployment_id, shown)

    @asynccontextmanager
    async def checking(self) -> AsyncIterator[None]:
        running = asyncio.ensure_future(self.runner.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def readiness(self) -> CheckSignal | None:
        """The last that was told of the one deployment's readiness check, if that was something new."""
        if not await self.tell():
            return None
        (replica,) = self.told[-1][1].replicas
        return next(check for check in replica.checks if check.check == "readiness")


async def test_how_a_check_stands_is_told_with_its_last_attempt():
    scene = Scene()
    scene.cluster.commands[("check",)] = Checked(status=3, output="no database")
    checks = HealthChecks(readiness=CHECK.model_copy(update={"failure_threshold": 2}))
    before = utc_now()
    await scene.show("d", checks=checks)
    first = await scene.readiness()
    assert first == CheckSignal(check="readiness", standing="failing")  # not ready before its first attempt
    told: list[CheckSignal] = []

    async def fails_for_the_second_time() -> bool:
        told.extend(filter(None, [await scene.readiness()]))
        return bool(told) and told[-1].failures >= 2

    async with scene.checking():
        await eventually(fails_for_the_second_time)
        check = told[-1]
        assert (check.outcome, check.message, check.output) == (
            "failure",
            "exited with status 3",
            "no database",
        )
        assert check.at is not None
        assert before <= check.at <= utc_now()
        assert check.latency_s is not None
        assert 0 <= check.latency_s < 60
        scene.cluster.commands[("check",)] = Checked(status=0)

        async def passes() -> bool:
            now = await scene.readiness()
            return now is not None and (now.standing, now.failures, now.outcome) == ("passing", 0, "success")

        await eventually(passes)


async def test_an_end_is_told_with_its_status():
    scene = Scene()
    await scene.show("d")
    assert await scene.tell() == ["d"]
    assert scene.told[0][1].replicas[0].last_exit is None
    (replica,) = (await scene.cluster.observe("d"))["d"].replicas
    scene.cluster.exit(replica.replica_id, status=7)
    await scene.see("d")
    assert await scene.tell() == ["d"]
    ended = scene.told[0][1].replicas[0].last_exit
    assert ended is not None
    assert (ended.status, ended.signal) == (7, None)


async def test_what_does_not_change_is_told_again_and_what_is_gone_is_not():
    scene = Scene()
    await scene.show("stays")
    await scene.show("goes")
    assert sorted(await scene.tell()) == ["goes", "stays"]
    assert await scene.tell() == []
    scene.teller.show_none_but(["stays"])
    scene.now += AGAIN_S
    assert await scene.tell() == ["stays"]


async def test_news_comes_before_what_is_only_due_and_all_have_their_turn():
    scene = Scene()
    everybody = [f"d{number:02}" for number in range(3 * MOST_AT_ONCE)]
    for deployment_id in everybody:
        await scene.show(deployment_id)
    first = [await scene.tell() for _ in range(3)]
    assert [len(each) for each in first] == [MOST_AT_ONCE] * 3
    assert sorted(chain(*first)) == everybody
    scene.now += AGAIN_S
    scene.teller.changed(everybody[-1])
    again = [await scene.tell() for _ in range(3)]
    assert again[0][0] == everybody[-1]
    assert [len(each) for each in again] == [MOST_AT_ONCE] * 3
    assert sorted(chain(*again)) == everybody


def test_a_signal_of_many_replicas_leaves_out_the_words_before_it_is_too_long():
    wordy = CheckSignal(
        check="readiness", standing="failing", outcome="failure", message="ä" * 200, output="b" * 200
    )
    replicas = tuple(
        ReplicaSignal(replica_id=f"{number:032}", attempt=0, checks=(wordy, wordy, wordy))
        for number in range(1000)
    )
    signal = DeploymentSignal(sent_at=utc_now(), replicas=replicas)
    data = encoded(signal)
    assert len(data) <= MOST_BYTES
    told = DeploymentSignal.model_validate_json(data)
    assert [replica.replica_id for replica in told.replicas] == [replica.replica_id for replica in replicas]
    assert told.replicas[0].checks[0] == wordy.without_words()
    few = signal.model_copy(update={"replicas": replicas[:10]})
    assert DeploymentSignal.model_validate_json(encoded(few)) == few
