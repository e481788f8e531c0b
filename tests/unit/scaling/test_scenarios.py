"""Deployments under load, told minute by minute on a clock that the test moves."""

from collections import deque
from dataclasses import dataclass, field, replace

from libs.common.scaling.behavior import Behavior, scale_down_rules, scale_up_rules
from libs.common.scaling.cause import Cause
from libs.common.scaling.hpa import decide_hpa
from libs.common.scaling.hpa_memory import HpaMemory
from libs.common.scaling.hpa_policy import DurationMetric, HpaPolicy, Measured, ResourceMetric
from libs.common.scaling.in_flight import InFlightMemory, InFlightPolicy, decide_in_flight
from libs.common.scaling.in_force import Decided, Scale, bounds_of, in_force
from libs.common.scaling.replicas import Phase, Replica, Resource, Sample
from libs.common.scaling.request_duration import RequestDuration

TICK_S = 15
MINUTE = 60

CPU = HpaPolicy((ResourceMetric(Resource.CPU, 50),))
CPU_WITH_BEHAVIOR = replace(CPU, behavior=Behavior())


@dataclass
class Deployment:
    """One whose replicas are ready some seconds after they are in force, and share its load evenly."""

    scale: Scale
    policy: HpaPolicy
    starts_in_s: float = 5.0
    now: float = 1_000_000.0
    memory: HpaMemory = field(default_factory=HpaMemory)
    decided: Decided | None = None
    started: list[float] = field(default_factory=list)
    is_rolling_out: bool = False
    cpu_milli: int = 0
    """Of all replicas together."""
    duration_s: float | None = 0.0
    """Of a request, with what it has; None: nobody measures."""
    is_measured: bool = True
    history: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=300 // TICK_S))
    """Summed microseconds and requests of each tick of the last five minutes."""
    last_cause: Cause | None = None

    def __post_init__(self):
        self.started = [self.now - 3600] * self.number

    @property
    def number(self):
        return in_force(self.scale, self.decided)

    def run(self, *, minutes):
        """The number in force at the end of each minute."""
        numbers = []
        for _ in range(int(minutes * MINUTE / TICK_S)):
            self.now += TICK_S
            self._decide()
            numbers.append(self.number)
        return numbers[MINUTE // TICK_S - 1 :: MINUTE // TICK_S]

    def _decide(self):
        del self.started[self.number :]
        self.started += [self.now] * (self.number - len(self.started))
        if not self.scale.is_autoscaled:
            return
        decision = decide_hpa(
            self.policy,
            bounds=bounds_of(self.scale),
            current=self.number,
            replicas=self._replicas(),
            measured=self._measured(),
            memory=self.memory,
            now=self.now,
            is_rolling_out=self.is_rolling_out,
        )
        self.memory, self.last_cause = decision.memory, decision.cause
        if decision.replicas != self.number:
            self.decided = Decided(decision.replicas, self.scale.stretch_id)

    def _replicas(self):
        return [
            Replica(
                str(index),
                Phase.RUNNING,
                started_at,
                self.now >= started_at + self.starts_in_s,
                started_at + self.starts_in_s if self.now >= started_at + self.starts_in_s else started_at,
                requests={Resource.CPU: 1000},
            )
            for index, started_at in enumerate(self.started)
        ]

    def _measured(self):
        ready = [one.id for one in self._replicas() if one.is_ready]
        if self.duration_s is not None:
            self.history.append((round(self.duration_s * 100 * 1e6), 100))
        if not self.is_measured:
            return Measured()
        each = self.cpu_milli // max(1, len(ready))
        sums, counts = zip(*self.history, strict=True)
        return Measured(
            {Resource.CPU: {name: Sample(min(each, 1000), 0, TICK_S) for name in ready}},
            RequestDuration(sum(sums), sum(counts), len(self.history) * TICK_S),
        )


def scaled(least, most, policy=CPU, *, at=None, **others):
    deployment = Deployment(Scale(least, max_replicas=most, stretch_id="first"), policy, **others)
    if at is not None:
        deployment.decided = Decided(at, "first")
        deployment.started = [deployment.now - 3600] * at
    return deployment


def test_requests_that_stay_too_slow_go_one_by_one_a_window_apart():
    slow = scaled(1, 5, HpaPolicy((DurationMetric(150_000),)), starts_in_s=20)
    slow.duration_s = 0.05
    assert set(slow.run(minutes=10)) == {1}
    slow.duration_s = 0.25
    up = slow.run(minutes=20)
    first = up.index(2)
    assert first < 5
    assert up[first : first + 5] == [2] * 5
    assert up[first + 7] == 4
    slow.duration_s = 0.05
    down = slow.run(minutes=20)
    assert down[:4] == [down[0]] * 4
    assert down[-1] == 1


def test_a_little_too_slow_goes_from_1_to_2_to_3():
    slow = scaled(1, 3, HpaPolicy((DurationMetric(150_000),)))
    slow.duration_s = 0.2
    numbers = slow.run(minutes=13)
    assert sorted(set(numbers)) == [1, 2, 3]
    assert numbers.count(2) in (5, 6)
    slow.duration_s = 0.05
    numbers = slow.run(minutes=12)
    assert numbers[:4] == [3] * 4
    assert numbers[-1] == 1


def test_a_model_that_loads_for_longer_than_the_window_is_waited_for():
    slow = scaled(1, 9, HpaPolicy((DurationMetric(150_000),)), starts_in_s=600)
    slow.duration_s = 0.3
    numbers = slow.run(minutes=18)
    assert set(numbers) == {1, 2}
    assert numbers[-1] == 2


def flapping(policy):
    deployment = scaled(1, 10, policy, at=6)
    numbers = []
    for minute in range(30):
        deployment.cpu_milli = 3000 if minute % 2 else 500
        numbers += deployment.run(minutes=1)
    return numbers


def test_a_load_that_flaps_keeps_the_higher_number():
    assert set(flapping(CPU)) == {6}
    assert set(flapping(CPU_WITH_BEHAVIOR)) == {6}


def test_a_window_up_keeps_the_lower_number():
    patient = replace(CPU, behavior=Behavior(scale_up_rules(window_s=120), scale_down_rules(window_s=0)))
    deployment = scaled(1, 10, patient, at=1)
    numbers = []
    for minute in range(20):
        deployment.cpu_milli = 3000 if minute % 2 else 100
        numbers += deployment.run(minutes=1)
    assert set(numbers) == {1}


def test_load_comes_and_goes():
    deployment = scaled(1, 10, CPU_WITH_BEHAVIOR)
    deployment.cpu_milli = 2400
    assert deployment.run(minutes=3)[-1] == 5
    deployment.cpu_milli = 100
    numbers = deployment.run(minutes=7)
    assert numbers[:4] == [5] * 4
    assert numbers[-1] == 1


def test_bounds_that_change_within_a_window():
    deployment = scaled(1, 10, CPU_WITH_BEHAVIOR, at=6)
    deployment.cpu_milli = 3000
    assert deployment.run(minutes=2) == [6, 6]
    deployment.scale = replace(deployment.scale, max_replicas=3)
    assert deployment.number == 3
    assert deployment.run(minutes=2) == [3, 3]
    deployment.scale = replace(deployment.scale, max_replicas=10)
    assert deployment.number == 6
    deployment.scale = replace(deployment.scale, replicas=8)
    assert deployment.number == 8
    deployment.cpu_milli = 400
    assert deployment.run(minutes=6)[-1] == 8
    deployment.scale = replace(deployment.scale, replicas=1)
    assert deployment.run(minutes=6)[-1] == 1


def test_off_and_on_begins_at_the_floor_and_remembers_nothing():
    deployment = scaled(2, 10, at=6)
    deployment.cpu_milli = 3000
    deployment.run(minutes=2)
    deployment.scale = replace(deployment.scale, is_autoscaling_enabled=False, stretch_id=None)
    assert deployment.run(minutes=2) == [2, 2]
    deployment.scale = replace(deployment.scale, is_autoscaling_enabled=True, stretch_id="second")
    deployment.memory = HpaMemory()
    assert deployment.number == 2
    deployment.cpu_milli = 100
    assert set(deployment.run(minutes=10)) == {2}


def test_a_rollout_under_load():
    deployment = scaled(2, 10, CPU_WITH_BEHAVIOR, at=4, is_rolling_out=True)
    deployment.cpu_milli = 100
    assert set(deployment.run(minutes=10)) == {4}
    assert deployment.last_cause is Cause.ROLLING_OUT
    deployment.cpu_milli = 3500
    assert deployment.run(minutes=3)[-1] > 4
    deployment.cpu_milli = 100
    deployment.is_rolling_out = False
    assert deployment.run(minutes=8)[-1] == 2


def test_measurements_that_stop_in_the_middle_of_a_scale_down():
    steps = replace(CPU, behavior=Behavior(scale_down=scale_down_rules(window_s=60)))
    deployment = scaled(1, 10, steps, at=8)
    deployment.cpu_milli = 3500
    deployment.run(minutes=2)
    deployment.cpu_milli = 100
    deployment.run(minutes=0.5)
    held = deployment.number
    deployment.is_measured = False
    assert set(deployment.run(minutes=60)) == {held}
    assert deployment.last_cause is Cause.METRICS_UNKNOWN
    deployment.is_measured = True
    deployment.run(minutes=0.75)
    assert deployment.number == held == 7
    assert deployment.run(minutes=1) == [1]


def test_one_that_forgets_everything_takes_nothing_away_for_a_window():
    deployment = scaled(1, 10, CPU_WITH_BEHAVIOR, at=8)
    deployment.cpu_milli = 100
    deployment.memory = HpaMemory()
    numbers = deployment.run(minutes=7)
    assert numbers[:4] == [8] * 4
    assert numbers[-1] == 1


@dataclass
class InFlight:
    """A deployment that scales by requests in flight, decided every two seconds."""

    current: int
    in_flight: float
    floor: int = 0
    now: float = 1_000_000.0
    memory: InFlightMemory = field(default_factory=InFlightMemory)
    policy: InFlightPolicy = field(default_factory=lambda: InFlightPolicy(target=10, scale_down_delay_s=900))

    def run(self, *, minutes):
        """Each number that was in force, without repetition."""
        numbers = [self.current]
        for _ in range(int(minutes * 30)):
            self.now += 2
            decision = decide_in_flight(
                self.policy,
                bounds=bounds_of(Scale(self.floor, max_replicas=20)),
                current=self.current,
                stable=self.in_flight,
                panic=self.in_flight,
                ready=self.current,
                memory=self.memory,
                now=self.now,
            )
            self.memory, self.current = decision.memory, decision.replicas
            if self.current != numbers[-1]:
                numbers.append(self.current)
        return numbers


def test_an_excess_goes_by_half_a_delay_apart():
    assert InFlight(8, 0).run(minutes=61) == [8, 4, 2, 1, 0]
    assert InFlight(8, 0).run(minutes=59) == [8, 4, 2, 1]
    assert InFlight(8, 0).run(minutes=14.9) == [8]
    assert InFlight(9, 7, floor=1).run(minutes=61) == [9, 5, 3, 2, 1]
    assert InFlight(8, 0, floor=2).run(minutes=120) == [8, 5, 4, 3, 2]


def test_load_that_comes_back_within_the_delay_removes_nothing():
    deployment = InFlight(8, 0)
    assert deployment.run(minutes=14) == [8]
    deployment.in_flight = 56
    assert deployment.run(minutes=1) == [8]
    deployment.in_flight = 0
    assert deployment.run(minutes=14.9) == [8]
    assert deployment.run(minutes=0.5) == [8, 4]


def test_load_is_met_at_once_and_kept_while_it_panics():
    deployment = InFlight(1, 100, policy=InFlightPolicy(target=10, scale_down_delay_s=0))
    assert deployment.run(minutes=0.1) == [1, 15]
    deployment.in_flight = 0
    assert deployment.run(minutes=0.9) == [15]
    assert deployment.run(minutes=1)[-1] == 0
