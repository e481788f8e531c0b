"""Watching over a memory log and a memory cluster: facts, and what happens when either is away.

It holds promise 5: what is unknown changes nothing.

The cluster carries out the checks itself here, so that a test says when a replica is ready.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.cluster.abilities import Abilities
from libs.common.cluster.port import ObservedWorkload, RunWorkload, Workload
from libs.common.errors import ClusterUnavailable, LogUnavailable
from libs.common.events.deployment import DeploymentCreated, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Draft, Recorded, select
from libs.common.events.replica import ReplicaState, ReplicaStopped, RosterRecorded
from libs.common.events.rollout import LiveRun, ReplicasRetiring, RetireReason, SpecApplied
from libs.common.log.memory import MemoryLog
from libs.common.log.port import Appended, Guard, Heads
from libs.common.runtime import Progress
from libs.common.spec.model import Resources, Spec
from libs.common.spec.template import make_template, run_id
from libs.common.state.view import Views
from services.health.loop import Watch
from services.health.prober import Prober
from services.health.records import Records
from tests.support.native_cluster import NativeCluster
from tests.support.polling import eventually

PROJECT, DEPLOYMENT = "default", "d" * 32
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SPEC = Spec(
    name="demo",
    image="i",
    command=("serve",),
    resources=Resources(machine_type="C4", ports=(8000,), replicas=1),
)
RUN = run_id(make_template(SPEC))


class ForgetfulCluster(NativeCluster):
    """Shows what it has shown before, once it is told to, until somebody wants to be sure."""

    old: Mapping[str, ObservedWorkload] | None = None

    async def observe(self, deployment_id: str | None = None) -> Mapping[str, ObservedWorkload]:
        return await super().observe(deployment_id) if self.old is None else self.old

    async def confirm(
        self, deployment_id: str, replica_ids: Collection[str], seen: ObservedWorkload | None
    ) -> bool:
        assert deployment_id == DEPLOYMENT
        assert replica_ids
        assert self.old is None or seen == self.old[DEPLOYMENT]
        was_old, self.old = self.old is not None, None
        return was_old


class ForgetfulLog(MemoryLog):
    """Stores what is appended and then, while `is_forgetful`, loses the answer."""

    is_forgetful = False

    async def append(
        self, drafts: Sequence[Draft], *, heads: Heads, cause: Cause, guards: Sequence[Guard] = ()
    ) -> Appended:
        appended = await super().append(drafts, heads=heads, cause=cause, guards=guards)
        if self.is_forgetful:
            raise LogUnavailable("no answer")
        return appended


class Scene:
    """One deployment, its cluster, its log, and a watch that a test lets look."""

    def __init__(self) -> None:
        self.ticks = 0.0
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.log = ForgetfulLog(lambda: self.now)
        self.cluster = ForgetfulCluster(lambda: self.now, Abilities(probes_natively=True))
        self.progress = Progress()

    async def begin(self, replicas: int = 1) -> None:
        await self.tell(DeploymentCreated(name="demo"), SpecRegistered(spec_id="s", run_id=RUN, spec=SPEC))
        await self.apply(replicas)
        runs = (LiveRun(run_id=RUN, spec_id="s"),)
        await self.tell(SpecApplied(spec_id="s", run_id=RUN, runs=runs))
        await self.restart_health()

    async def tell(self, *facts, because: str = "the request") -> None:
        drafts = [Draft(Aggregate(PROJECT, fact.aggregate, DEPLOYMENT), fact) for fact in facts]
        heads = (await self.log.load(drafts[0].aggregate.filter)).heads
        await self.log.append(drafts, heads=heads, cause=Cause("test", because))
        if hasattr(self, "records"):
            await self.follow()

    async def apply(self, replicas: int, *, stopping: Sequence[str] = ()) -> None:
        run = RunWorkload(RUN, "s", make_template(SPEC), replicas)
        gone = frozenset(stopping)
        await self.cluster.apply(
            Workload(PROJECT, DEPLOYMENT, (run,), retiring=gone, stopping=gone, traceparent=TRACE), fence=1
        )

    async def restart_health(self) -> None:
        self.records = Records(self.log, Views())
        await self.follow()
        await self.records.load()
        self.watch = Watch(
            self.cluster,
            self.records,
            Prober(),
            progress=self.progress,
            clock=lambda: self.now,
            ticks=lambda: self.ticks,
        )

    async def follow(self) -> None:
        """What the follower does, without its task."""
        views = self.records.views
        async for event in self.log.read(*views.filters, after=views.sequence):
            self.records.note(views.apply(event))

    async def observe(self) -> list[str]:
        """The types of what one look appends, without the pages of the roster."""
        before = await self.log.last_sequence()
        await self.watch.observe()
        await self.follow()
        return [event.type for event in await self.events(after=before)]

    async def events(self, after: int = 0) -> list[Recorded]:
        events = self.log.read(select(kind="replica"), after=after)
        return [event async for event in events if event.type != RosterRecorded.event_type()]

    async def replica_ids(self) -> list[str]:
        shown = (await self.cluster.observe()).get(DEPLOYMENT)
        return [o.replica_id for o in shown.replicas] if shown else []


@pytest.fixture
async def scene() -> Scene:
    scene = Scene()
    await scene.begin()
    return scene


async def test_the_life_of_a_replica(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    assert await scene.observe() == ["ReplicaStarted"]
    scene.cluster.start(replica_id)
    assert await scene.observe() == ["ReplicaStarted"]
    assert await scene.observe() == []
    scene.cluster.say(replica_id, ready=True)
    assert await scene.observe() == ["ReplicaBecameReady"]
    scene.cluster.say(replica_id, ready=False, message="readiness probe: HTTP 503")
    assert await scene.observe() == ["ReplicaBecameUnready"]
    scene.cluster.exit(replica_id, status=1)
    assert await scene.observe() == ["ReplicaStopped"]
    scene.cluster.start(replica_id)
    assert await scene.observe() == ["ReplicaRestarted", "ReplicaBecameUnready"]
    scene.cluster.say(replica_id, ready=True)
    assert await scene.observe() == ["ReplicaBecameReady"]
    await scene.apply(0, stopping=[replica_id])
    assert await scene.observe() == ["ReplicaBecameUnready"]
    scene.cluster.end(replica_id)
    assert await scene.observe() == ["ReplicaStopped"]
    assert scene.records.rosters[DEPLOYMENT].replicas == ()


async def test_a_cluster_that_does_not_answer_changes_nothing(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    scene.cluster.say(replica_id, ready=True)
    await scene.observe()
    scene.cluster.is_available = False
    with pytest.raises(ClusterUnavailable):
        await scene.watch.observe()
    assert len(scene.records.rosters[DEPLOYMENT].ready()) == 1
    scene.cluster.is_available = True
    assert await scene.observe() == []


async def test_a_restart_of_health_holds_what_was_ready(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    scene.cluster.say(replica_id, ready=True)
    await scene.observe()
    await scene.restart_health()
    assert await scene.observe() == []
    assert len(scene.records.rosters[DEPLOYMENT].ready()) == 1


async def test_what_happened_while_health_was_away_is_told_once(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    scene.cluster.say(replica_id, ready=True)
    await scene.observe()
    scene.cluster.exit(replica_id, status=3)
    scene.cluster.start(replica_id)
    await scene.restart_health()
    assert await scene.observe() == ["ReplicaStopped", "ReplicaRestarted", "ReplicaBecameReady"]
    assert await scene.observe() == []


async def test_nothing_is_told_that_rests_on_what_the_cluster_showed_before(scene: Scene) -> None:
    """A replica that is gone by now is not told to start, nor one to be lost that is there."""
    old = await scene.cluster.observe()
    (replica_id,) = await scene.replica_ids()
    await scene.observe()
    await scene.apply(1, stopping=[replica_id])
    scene.cluster.end(replica_id)
    assert await scene.observe() == ["ReplicaStopped", "ReplicaStarted"]
    await scene.restart_health()
    woken: list[str] = []
    scene.watch.wake_for = woken.append
    scene.cluster.old = old
    assert await scene.observe() == []
    assert woken == [DEPLOYMENT]
    assert await scene.observe() == []


async def test_an_append_without_an_answer_is_not_repeated(scene: Scene) -> None:
    scene.log.is_forgetful = True
    with pytest.raises(LogUnavailable):
        await scene.watch.observe()
    scene.log.is_forgetful = False
    assert await scene.observe() == []
    assert [event.type for event in await scene.events()] == ["ReplicaStarted"]


async def test_a_conflict_makes_it_decide_again_on_what_is_there(scene: Scene) -> None:
    """As two copies would: what the other has written already is not written again."""
    other, mine = scene.watch, scene.records
    await scene.restart_health()
    assert await scene.observe() == ["ReplicaStarted"]
    scene.records = mine
    await other.observe()
    assert [event.type for event in await scene.events()] == ["ReplicaStarted"]
    assert len(mine.rosters[DEPLOYMENT].replicas) == 1


async def test_a_retired_replica_that_ends_between_two_looks_was_stopped_not_lost(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    await scene.observe()
    await scene.tell(ReplicasRetiring(replica_ids=(replica_id,), reason=RetireReason.DISABLED))
    await scene.apply(0, stopping=[replica_id])
    scene.cluster.end(replica_id)
    assert await scene.observe() == ["ReplicaStopped"]
    fact = (await scene.events())[-1].fact
    assert isinstance(fact, ReplicaStopped)
    assert fact.reason == "stopped"


async def test_a_deployment_that_is_gone_from_the_cluster_loses_its_replicas(scene: Scene) -> None:
    await scene.observe()
    await scene.cluster.remove(DEPLOYMENT, fence=2)
    scene.cluster.advance()
    assert await scene.observe() == ["ReplicaStopped"]
    assert DEPLOYMENT not in scene.records.rosters
    assert await scene.observe() == []


async def test_being_woken_for_a_deployment_of_which_nothing_is_left_is_nothing(scene: Scene) -> None:
    await scene.observe()
    await scene.cluster.remove(DEPLOYMENT, fence=2)
    scene.cluster.advance()
    assert await scene.observe() == ["ReplicaStopped"]
    last = await scene.log.last_sequence()
    await scene.watch.observe_one(DEPLOYMENT)
    assert await scene.log.last_sequence() == last


@pytest.mark.parametrize("set_by", [timedelta(), timedelta(hours=-1), timedelta(hours=1)])
async def test_one_that_comes_and_goes_counts_when_it_has_stayed_ready_and_is_looked_at_then(
    scene: Scene, set_by: timedelta
) -> None:
    """However the clock on the wall is set meanwhile."""
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    for _ in range(3):
        scene.cluster.say(replica_id, ready=True)
        await scene.observe()
        scene.cluster.say(replica_id, ready=False, message="readiness probe: HTTP 503")
        await scene.observe()
    scene.cluster.say(replica_id, ready=True)
    assert await scene.observe() == []
    scene.ticks += 9.95
    scene.now += set_by
    scene.watch.wake_for(DEPLOYMENT)
    woken: list[str] = []
    scene.watch.wake_for = woken.append
    assert await scene.observe() == []
    await eventually(lambda: woken == [DEPLOYMENT], within_s=8)
    scene.ticks += 0.05
    assert await scene.observe() == ["ReplicaBecameReady"]
    assert await scene.observe() == []


async def test_what_has_to_stay_ready_still_has_to_after_a_restart_of_health(scene: Scene) -> None:
    (replica_id,) = await scene.replica_ids()
    scene.cluster.start(replica_id)
    for _ in range(3):
        scene.cluster.say(replica_id, ready=True)
        await scene.observe()
        scene.cluster.say(replica_id, ready=False, message="readiness probe: HTTP 503")
        await scene.observe()
    scene.cluster.say(replica_id, ready=True)
    await scene.restart_health()
    assert await scene.observe() == []
    (replica,) = scene.records.rosters[DEPLOYMENT].replicas
    assert (replica.state, replica.must_stay_ready_s) == (ReplicaState.UNREADY, 10)
    scene.ticks += 10
    assert await scene.observe() == ["ReplicaBecameReady"]
