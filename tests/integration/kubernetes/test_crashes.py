"""Health over a real API server, whose kubelets are played: what they say of a crash, piece by piece."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import pytest

from libs.common.clock import monotonic, utc_now
from libs.common.cluster.kubernetes import names
from libs.common.events.envelope import select
from libs.common.events.replica import Replica, ReplicaState
from libs.common.log.memory import MemoryLog
from libs.common.runtime import Progress
from libs.common.state.view import fold
from services.health.prober import Prober
from services.health.watching import watch_cluster
from tests.support.clusters import DEPLOYMENT, all_run, run_of, workload
from tests.support.kubernetes_world import KubernetesWorld
from tests.support.polling import eventually


@dataclass(frozen=True)
class Container:
    """As the kubelet tells of it. restarts: how often it was started again."""

    state: str = "running"
    restarts: int = 0
    is_ready: bool = False

    @property
    def status(self) -> dict[str, object]:
        now = _told(utc_now())
        running, waiting = {"running": {"startedAt": now}}, {"waiting": {"reason": "CrashLoopBackOff"}}
        ended = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": now, "finishedAt": now}}
        shown = {
            "name": names.CONTAINER,
            "image": "model:1",
            "imageID": "",
            "ready": self.is_ready,
            "started": self.is_ready,
            "restartCount": self.restarts,
            "state": {"running": running, "terminated": ended, "waiting": waiting}[self.state],
            "lastState": ended if self.restarts or self.state == "waiting" else {},
        }
        ready = {"type": "Ready", "status": str(self.is_ready), "lastTransitionTime": now}
        return {"phase": "Running", "containerStatuses": [shown], "conditions": [ready]}


READY = Container(is_ready=True)
NOT_READY = Container()
ENDED = Container(state="terminated")
WAITS = Container(state="waiting")
BEGUN = Container(restarts=1)


def _told(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@asynccontextmanager
async def told(world: KubernetesWorld) -> AsyncIterator[MemoryLog]:
    """By health, while the block runs."""
    log, progress = MemoryLog(utc_now), Progress()
    health = asyncio.ensure_future(
        watch_cluster(log, world.cluster, Prober(), progress=progress, clock=utc_now, ticks=monotonic)
    )
    try:
        yield log
    finally:
        health.cancel()
        await asyncio.gather(health, return_exceptions=True)


async def until(log: MemoryLog, state: ReplicaState, *, attempt: int = 0) -> Replica:
    async def is_so() -> Replica | None:
        view = fold((await log.load(select(aggregate_id=DEPLOYMENT))).events)
        listed = view.roster.replicas if view is not None else ()
        return next((one for one in listed if (one.state, one.attempt) == (state, attempt)), None)

    found = await eventually(is_so, because=f"the replica was never {state}")
    assert isinstance(found, Replica)
    return found


CRASHES = {
    "at once": ((BEGUN, ReplicaState.STARTING),),
    "in pieces": ((ENDED, ReplicaState.FAILED), (BEGUN, ReplicaState.STARTING)),
    "not ready first": (
        (NOT_READY, ReplicaState.UNREADY),
        (ENDED, ReplicaState.FAILED),
        (BEGUN, ReplicaState.STARTING),
    ),
    "with a pause": ((WAITS, ReplicaState.FAILED), (BEGUN, ReplicaState.STARTING)),
}


@pytest.mark.parametrize("crash", CRASHES.values(), ids=CRASHES)
async def test_a_crash_of_a_pod_counts_once_as_it_does_on_this_machine(kubernetes_world, crash):
    async with told(kubernetes_world) as log:
        await kubernetes_world.cluster.apply(workload(run_of(1)), fence=1)
        (shown,) = await kubernetes_world.until(all_run(1))
        await kubernetes_world.say(shown.replica_id, READY.status)
        first = await until(log, ReplicaState.RUNNING)
        for container, state in crash:
            await kubernetes_world.say(shown.replica_id, container.status)
            attempt = container.restarts if state is ReplicaState.STARTING else 0
            await until(log, state, attempt=attempt)
        await kubernetes_world.say(shown.replica_id, replace(BEGUN, is_ready=True).status)
        after = await until(log, ReplicaState.RUNNING, attempt=1)
    assert (len(first.changed_at), len(after.changed_at)) == (1, 3)
    assert after.must_stay_ready_s == 0
