"""A deployment that scales by load, on a clock that only the test moves: its facts, its measurements, and the
autoscaler's decisions about it, without a log and without a process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from libs.common.autoscaling.present import Present
from libs.common.events.deployment import DeploymentCreated, SpecRegistered
from libs.common.events.envelope import Aggregate, Cause, Recorded
from libs.common.events.fact import Fact
from libs.common.events.replica import Replica, ReplicaState, RosterRecorded
from libs.common.events.rollout import LiveRun, SpecApplied, SpecHealthy
from libs.common.events.scaling import ReplicasDecided
from libs.common.machine_types.reading import bundled
from libs.common.metrics.port import Received
from libs.common.metrics.samples import Batch, Kind, ReplicaUsage, RequestsInFlight, RequestTotals
from libs.common.spec.model import Autoscaling, Resources, Spec
from libs.common.state.replica import Roster
from libs.common.state.view import Views
from services.autoscaler.decide import Outcome
from services.autoscaler.knowledge import Knowledge
from tests.support.decided_again import decided_again

BORN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CAUSE = Cause(actor="test", correlation_id="test")
MACHINE_TYPE = "C4"
CPUS = bundled()[MACHINE_TYPE].cpus
MEMORY_GIB = bundled()[MACHINE_TYPE].memory_gib


def knowledge_of(views: Views, **otherwise: float) -> Knowledge:
    settings = {
        "request_window_s": 300.0,
        "cpu_initialization_s": 300.0,
        "initial_readiness_delay_s": 30.0,
        **otherwise,
    }
    return Knowledge(bundled(), views=views, **settings)


def by_cpu(target: float = 50, *, most: int = 10, **otherwise: object) -> Autoscaling:
    content = {"maxReplicas": most, "metrics": [{"metric": "cpu", "value": target}], **otherwise}
    return Autoscaling.model_validate(content)


def by_duration(target_s: float = 0.15, *, most: int = 10, **otherwise: object) -> Autoscaling:
    content = {
        "maxReplicas": most,
        "metrics": [{"metric": "requestDuration", "value": target_s}],
        **otherwise,
    }
    return Autoscaling.model_validate(content)


def by_concurrency(*, most: int = 10, **concurrency: object) -> Autoscaling:
    return Autoscaling.model_validate({"maxReplicas": most, "concurrency": concurrency})


@dataclass
class Story:
    """start_s: how long a replica takes until it is ready."""

    autoscaling: Autoscaling | None
    floor: int = 1
    start_s: float = 0.0
    name: str = "d1"
    now: float = 10_000.0
    wall: datetime = BORN
    settings: dict[str, float] = field(default_factory=dict)
    views: Views = field(default_factory=Views)
    decisions: list[tuple[float, ReplicasDecided]] = field(default_factory=list)
    present: Present | None = None
    knowledge: Knowledge = field(init=False)
    roster: Roster = field(default_factory=Roster)
    measured: list[Received] = field(default_factory=list)
    """All batches so far, as METRICS has them."""
    _sequence: int = 0
    _numbers: dict[Kind, int] = field(default_factory=dict)
    _born: int = 0
    _spec: int = 0
    _run: str = "run-1"
    _stretch: str | None = None
    _starting: dict[str, float] = field(default_factory=dict)
    _totals: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.knowledge = knowledge_of(self.views, **self.settings)
        self.tell(DeploymentCreated(name="demo"))
        self.register()
        self.keep_up()

    # Facts

    def tell(self, *facts: Fact) -> None:
        for fact in facts:
            self._sequence += 1
            event = Recorded(
                sequence=self._sequence,
                time=self.wall,
                aggregate=Aggregate("default", fact.aggregate, self.name),
                type=fact.event_type(),
                event_id=f"e{self._sequence}",
                data={},
                fact=fact,
                cause=CAUSE,
                hash="",
                page=fact.subject_page(),
            )
            view = self.views.apply(event)
            assert view is not None
            self.knowledge.note(view, event, now=self.now)

    def register(self, *, run: str | None = None, is_healthy: bool = True, **changes: object) -> None:
        """A new spec, with these fields of the story changed."""
        for key, value in changes.items():
            setattr(self, key, value)
        self._run = run or self._run
        self._spec += 1
        resources = Resources(
            machine_type=MACHINE_TYPE, ports=(8000,), replicas=self.floor, autoscaling=self.autoscaling
        )
        spec = Spec(name="demo", image="example/app:1.0", resources=resources)
        spec_id = f"spec-{self._spec}"
        self._stretch = (self._stretch or spec_id) if spec.scale.is_autoscaled else None
        self.tell(
            SpecRegistered(spec_id=spec_id, run_id=self._run, spec=spec, scaling_since=self._stretch),
            SpecApplied(
                spec_id=spec_id, run_id=self._run, runs=(LiveRun(run_id=self._run, spec_id=spec_id),)
            ),
        )
        if is_healthy:
            self.healthy()

    def healthy(self) -> None:
        self.tell(SpecHealthy(spec_id=f"spec-{self._spec}", run_id=self._run, replicas=self.floor))

    @property
    def in_force(self) -> int:
        return self.views.by_id[self.name].wanted_replicas

    def keep_up(self) -> None:
        """As many replicas of the newest run as are in force, the oldest kept; those whose time has come are
        ready."""
        listed = [one for one in self.roster.replicas if one.run_id == self._run]
        for _ in range(self.in_force - len(listed)):
            self.start()
        if len(listed) > self.in_force:
            self.put(
                *[one for one in self.roster.replicas if one.run_id != self._run], *listed[: self.in_force]
            )
        due = {name for name, at in self._starting.items() if at <= self.now}
        for name in due:
            del self._starting[name]
        if due:
            self.put(*(self._ready(one) if one.replica_id in due else one for one in self.roster.replicas))

    def start(self, run: str | None = None) -> str:
        name = f"r{self._born}"
        self._born += 1
        replica = Replica(
            replica_id=name,
            run_id=run or self._run,
            spec_id=f"spec-{self._spec}",
            state=ReplicaState.STARTING,
            created_at=self.wall,
            started_at=self.wall,
        )
        self.put(*self.roster.replicas, replica)
        self._starting[name] = self.now + self.start_s
        return name

    def _ready(self, one: Replica) -> Replica:
        return one.model_copy(update={"state": ReplicaState.RUNNING, "ready_at": self.wall})

    def put(self, *replicas: Replica) -> None:
        self.roster = Roster.of(replicas)
        (*pages,) = self.roster.pages.values()
        self.tell(
            *(
                RosterRecorded(page=number, pages=max(1, len(pages)), replicas=page)
                for number, page in enumerate(pages)
            )
            if pages
            else (RosterRecorded(page=0, pages=0, replicas=()),)
        )

    # Measurements

    def batch(self, kind: Kind, **content: object) -> Batch:
        self._numbers[kind] = self._numbers.get(kind, 0) + 1
        base = {
            "source": kind.value,
            "counter_id": "c1",
            "number": self._numbers[kind],
            "interval_s": {Kind.USAGE: 15, Kind.REQUESTS: 5, Kind.IN_FLIGHT: 1}[kind],
            "ended_at": self.wall.timestamp(),
            "is_whole": True,
        }
        return Batch.model_validate({"kind": kind, **base, **content})

    def measure(self, *batches: Batch) -> None:
        for batch in batches:
            self.measured.append(Received(batch, self.wall.timestamp(), len(self.measured) + 1))
            self.knowledge.take(batch, at=self.now)

    def use(
        self, *, cpu: float | None = None, memory_gib: float | None = None, only: Iterable[str] = ()
    ) -> None:
        """Cores, and GiB, that all ready replicas together use, spread evenly."""
        ready = [one for one in self.roster.replicas if one.state is ReplicaState.RUNNING]
        some = [one for one in ready if not only or one.replica_id in only]
        usage = tuple(
            ReplicaUsage(
                deployment_id=self.name,
                replica_id=one.replica_id,
                attempt=one.attempt,
                ended_at=self.wall.timestamp(),
                window_s=15,
                cpu_cores=None if cpu is None else cpu / len(ready),
                memory_bytes=None if memory_gib is None else round(memory_gib / len(ready) * 2**30),
                cpus=CPUS,
                memory_gib=MEMORY_GIB,
            )
            for one in some
        )
        self.measure(self.batch(Kind.USAGE, usage=usage))

    def answer(self, requests: int, *, each_s: float) -> None:
        answered, duration_us = self._totals
        self._totals = (answered + requests, duration_us + round(requests * each_s * 1_000_000))
        totals = RequestTotals(deployment_id=self.name, answered=self._totals[0], duration_us=self._totals[1])
        self.measure(self.batch(Kind.REQUESTS, requests=(totals,)))

    def carry(self, in_flight: float) -> None:
        one = RequestsInFlight(deployment_id=self.name, in_flight=in_flight)
        self.measure(self.batch(Kind.IN_FLIGHT, in_flight=(one,)))

    # Decisions

    def decide(self) -> Outcome | None:
        """What is decided now; it is stored, and the replicas follow."""
        outcome = self.knowledge.outcome(self.name, now=self.now, wall=self.wall)
        if outcome is None:
            return None
        self.knowledge.memories[self.name] = outcome.memory
        self.present = outcome.present()
        if (decided := outcome.fact()) is not None:
            fact = ReplicasDecided.model_validate_json(decided.model_dump_json())
            assert decided_again(fact) == fact.to_replicas
            assert self.floor <= fact.to_replicas <= fact.policy.max_replicas
            self.decisions.append((self.now, fact))
            self.tell(fact)
        else:
            assert self.present.replicas == self.present.current
        self.keep_up()
        return outcome

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall += timedelta(seconds=seconds)
        self.keep_up()

    def go_on(self, seconds: float, measure: Callable[[], None], *, every_s: float = 15.0) -> list[int]:
        """Measure and decide every so often; the number in force after each."""
        numbers = []
        for _ in range(round(seconds / every_s)):
            self.pass_time(every_s)
            measure()
            self.decide()
            numbers.append(self.in_force)
        return numbers

    def restart(self) -> None:
        """Another process, that knows what the facts say and nothing else."""
        self.knowledge = knowledge_of(self.views, **self.settings)
        self.now += 1_000_000.0
        self._starting = {name: at + 1_000_000.0 for name, at in self._starting.items()}
        self.knowledge.note(self.views.by_id[self.name], None, now=self.now, wall=self.wall)
