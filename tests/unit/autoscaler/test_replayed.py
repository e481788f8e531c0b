"""What a policy did, and what a trial of it on what was recorded meanwhile says that it would do.

The autoscaler's own parts decide on a clock that the test moves; then the policy in force is tried on the
recorded samples, and on the minutes that the api keeps of them.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from libs.common.autoscaling.recorded import LOOK_BACK_S, lead_s, loads, replayed, step_s
from libs.common.autoscaling.replay import MINUTE_S, Capacity, replay
from libs.common.metrics.port import Place
from libs.common.spec.model import Autoscaling
from services.api.edge.trying import load_of
from services.api.points.minutes import Gathering
from services.api.points.places import Taken
from tests.support.scaling_story import CPUS, MEMORY_GIB, Story, by_concurrency, by_cpu, by_duration

CAPACITY = Capacity(CPUS, MEMORY_GIB * 2**30)
WITHIN_S = 120
WITHIN_REPLICAS = 1

QUICK = {
    "scaleDown": {
        "stabilizationWindowSeconds": 60,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    }
}


def by_memory(target: float = 50) -> Autoscaling:
    return Autoscaling.model_validate({"maxReplicas": 10, "metrics": [{"metric": "memory", "value": target}]})


@dataclass(frozen=True)
class Day:
    """What happened: the load at each second, in cores, in GiB that the replicas share, in tenths of a second
    that requests ask for, or in flight."""

    autoscaling: Autoscaling
    load: Callable[[float], float]
    act: Callable[[Story, float], None]
    every_s: float


def use_cpu(story: Story, cores: float) -> None:
    story.use(cpu=cores)


def hold(story: Story, shared_gib: float) -> None:
    """Each replica has something for itself, and its share of what they hold together."""
    ready = sum(one.state.value == "running" for one in story.roster.replicas)
    story.use(memory_gib=OWN * ready + shared_gib)


def carry(story: Story, in_flight: float) -> None:
    story.carry(in_flight)


def answer(story: Story, offered: float) -> None:
    """Each ready replica bears its share, and takes a tenth of a second for one."""
    ready = sum(one.state.value == "running" for one in story.roster.replicas)
    story.answer(round(3 * offered), each_s=0.1 * offered / max(1, ready))


def steps(*levels: tuple[float, float]) -> Callable[[float], float]:
    """(until which second, how much), one after the other."""
    ends = [end for end, _ in levels]
    return lambda at: levels[min(bisect_right(ends, at), len(levels) - 1)][1]


OWN = 0.1 * MEMORY_GIB
SLOWLY = by_concurrency(target=2, targetUtilizationPercentage=100, scaleDownDelaySeconds=120)
DAYS = {
    "cpu": Day(
        by_cpu(50),
        steps((600, 0.4 * CPUS), (1200, 2.2 * CPUS), (2000, 0.9 * CPUS), (3000, 3 * CPUS), (4200, 0.2)),
        use_cpu,
        15,
    ),
    "cpu, with rates": Day(
        by_cpu(50, behavior=QUICK),
        steps((600, 0.4 * CPUS), (1300, 3.2 * CPUS), (2200, 0.4 * CPUS), (4200, 1.2 * CPUS)),
        use_cpu,
        15,
    ),
    "memory": Day(
        by_memory(50),
        steps((700, 0.2 * MEMORY_GIB), (1500, 1.3 * MEMORY_GIB), (2500, 0.5 * MEMORY_GIB), (4200, 0.1)),
        hold,
        15,
    ),
    "durations": Day(by_duration(0.15), steps((900, 1), (2400, 3.5), (4200, 0.8)), answer, 5),
    "durations, with rates": Day(
        by_duration(0.15, behavior=QUICK), steps((900, 1), (2400, 4.5), (4200, 0.3)), answer, 5
    ),
    "concurrency": Day(
        SLOWLY, steps((600, 1), (700, 9), (1500, 3), (1512, 14), (2400, 1), (3300, 6), (4200, 0)), carry, 1
    ),
}


def lived(day: Day, *, start_s: float) -> tuple[Story, list[tuple[float, int]], float]:
    """The story, the number in force from each time of day on, and when it began."""
    story = Story(day.autoscaling, start_s=start_s)
    began = story.wall.timestamp()
    numbers = [(began, story.in_force)]
    while story.wall.timestamp() - began < 4200:
        story.pass_time(day.every_s)
        day.act(story, day.load(story.wall.timestamp() - began))
        story.decide()
        numbers.append((story.wall.timestamp(), story.in_force))
    return story, numbers, began


def number_at(numbers: Sequence[tuple[float, int]], at: float) -> int:
    return numbers[max(0, bisect_right(numbers, (at, 10**6)) - 1)][1]


def differences(
    numbers: Sequence[tuple[float, int]], tried: Sequence[tuple[float, int]]
) -> list[tuple[float, int, set[int]]]:
    """Where a number that was tried is not within one replica of any that was in force within two minutes."""
    found = []
    for at, number in tried:
        near = {each for then, each in numbers if abs(then - at) <= WITHIN_S}
        if not min(near) - WITHIN_REPLICAS <= number <= max(near) + WITHIN_REPLICAS:
            found.append((at, number, near))
    return found


def both_ways(numbers: Sequence[tuple[float, int]], tried: Sequence[tuple[float, int]], since: float) -> None:
    """Each of both is near the other."""
    actual = [one for one in numbers if one[0] >= since]
    assert differences(actual, tried) == []
    assert differences(tried, [one for one in actual if one[0] <= tried[-1][0]]) == []
    assert len({number for _, number in tried}) > 1


@pytest.mark.parametrize("start_s", [0.0, 20.0])
@pytest.mark.parametrize("name", DAYS)
def test_the_policy_in_force_on_recorded_samples_gives_what_happened(name, start_s):
    day = DAYS[name]
    story, numbers, began = lived(day, start_s=start_s)
    each_s, window_s = step_s(day.autoscaling), 300.0
    first = began + 900
    begin_lead = max(began, first - lead_s(day.autoscaling, request_window_s=window_s))
    lead_times = [first - each_s * n for n in range(int((first - begin_lead) // each_s), 0, -1)]
    times = [first + each_s * n for n in range(1, int(3300 // each_s) + 1)]
    held = [one for one in story.measured if one.stored_at >= begin_lead - LOOK_BACK_S]
    every = [*lead_times, *times]
    found = replayed(
        day.autoscaling,
        loads(held, story.name, day.autoscaling, times=every, request_window_s=window_s),
        [number_at(numbers, at - 0.001) for at in every],
        lead=len(lead_times),
        floor=story.floor,
        capacity=CAPACITY,
        request_window_s=window_s,
    )
    both_ways(numbers, list(zip(times, found, strict=True)), first)


def taken_before(measured, began: float) -> Taken:
    return Taken(Place("", sum(one.stored_at < began for one in measured)), 0)


@pytest.mark.parametrize("start_s", [0.0, 20.0])
@pytest.mark.parametrize("name", DAYS)
def test_the_policy_in_force_on_minutes_gives_what_happened(name, start_s):
    day = DAYS[name]
    story, numbers, began = lived(day, start_s=start_s)
    gathering = Gathering(taken=taken_before(story.measured, began))
    finished = [minute for one in story.measured if (minute := gathering.take(one)) is not None]
    minutes = [
        load_of(minute.number, minute.deployments.get(story.name), is_counted=minute.has_requests)
        for minute in finished
    ]
    found = replay(
        day.autoscaling,
        minutes,
        floor=story.floor,
        begin=1,
        capacity=CAPACITY,
        request_window_s=300.0,
    )
    assert minutes[1].at - minutes[0].at == MINUTE_S
    both_ways(numbers, list(zip((one.at for one in minutes), found, strict=True)), began)


@pytest.mark.parametrize(("target_s", "is_more"), [(0.1, True), (0.3, False)])
def test_by_durations_another_policy_is_shown_too_far_from_what_happened(target_s, is_more):
    """As its assumptions say: durations do not follow the number that is tried."""
    day = DAYS["durations"]
    story, _, began = lived(day, start_s=0)
    gathering = Gathering(taken=taken_before(story.measured, began))
    finished = [minute for one in story.measured if (minute := gathering.take(one)) is not None]
    minutes = [
        load_of(minute.number, minute.deployments.get(story.name), is_counted=True) for minute in finished
    ]
    other = by_duration(target_s)
    tried = replay(other, minutes, floor=1, begin=1, capacity=CAPACITY, request_window_s=300.0)
    _, lived_by_it, _ = lived(Day(other, day.load, day.act, day.every_s), start_s=0)
    most = max(number for _, number in lived_by_it)
    assert max(tried) > most if is_more else max(tried) < most
