"""What is missing, mad, stale or doubled never takes capacity away, and is said (promise 5)."""

import pytest

from libs.common.metrics.samples import Kind, ReplicaUsage
from tests.support.scaling_story import CPUS, MEMORY_GIB, Story, by_concurrency, by_cpu, by_duration

HIGH, LOW = 1.9 * CPUS, 0.1 * CPUS
QUICK = {"scaleDown": {"stabilizationWindowSeconds": 0}}


def grown(**behavior) -> Story:
    """Four replicas, for a load that is there."""
    story = Story(by_cpu(50, behavior=behavior or QUICK))
    story.go_on(60, lambda: story.use(cpu=HIGH))
    assert story.in_force == 4
    return story


def test_without_measurements_the_number_stays_and_it_says_since_when():
    story = grown()
    gone_at = story.wall
    assert set(story.go_on(3600, lambda: None)) == {4}
    assert story.present.reason == "metrics_unknown"
    assert story.present.unknown == {"cpu": "no_samples"}
    since = story.present.unknown_since["cpu"]
    assert 45 <= (since - gone_at).total_seconds() <= 75


def test_measurements_that_end_in_the_middle_of_a_scale_down_end_it():
    slow = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    story = grown(scaleDown=slow)
    story.go_on(30, lambda: story.use(cpu=LOW))
    assert story.in_force == 3
    numbers = story.go_on(600, lambda: None)
    # What was measured counts for three intervals.
    assert set(numbers[4:]) == {numbers[4]}
    assert numbers[4] >= 2


def test_after_a_gap_the_number_in_force_counts_as_recommended():
    story = grown(scaleDown={"stabilizationWindowSeconds": 120})
    story.go_on(600, lambda: None)
    assert set(story.go_on(105, lambda: story.use(cpu=LOW))) == {4}
    assert story.go_on(60, lambda: story.use(cpu=LOW))[-1] == 1


def test_a_restart_delays_a_scale_down_and_never_hastens_one():
    story = grown(scaleDown={"stabilizationWindowSeconds": 300})
    story.go_on(240, lambda: story.use(cpu=LOW))
    story.restart()
    assert set(story.go_on(285, lambda: story.use(cpu=LOW))) == {4}
    assert story.go_on(60, lambda: story.use(cpu=LOW))[-1] == 1


def test_a_replica_that_is_not_measured_counts_as_full_on_the_way_down():
    story = grown()
    three = [one.replica_id for one in story.roster.replicas][:3]
    story.go_on(60, lambda: None)
    story.go_on(15, lambda: story.use(cpu=0.2 * CPUS, only=three))
    # 3 x 5 % and one as if full: 115 of 400 is 28 % of 50, so 3 of 4.
    assert story.in_force == 3


def test_the_same_measurement_again_is_no_new_one_and_goes_on_ageing():
    story = grown()
    usage = [
        ReplicaUsage(
            deployment_id=story.name,
            replica_id=one.replica_id,
            attempt=0,
            ended_at=1.0,
            window_s=15,
            cpu_cores=0.01,
            cpus=CPUS,
            memory_gib=MEMORY_GIB,
        )
        for one in story.roster.replicas
    ]
    story.go_on(60, lambda: None)
    story.measure(story.batch(Kind.USAGE, usage=usage))
    story.pass_time(46)
    story.measure(story.batch(Kind.USAGE, usage=usage))
    story.decide()
    assert story.present.unknown == {"cpu": "no_samples"}
    assert story.in_force == 4


def test_a_batch_that_comes_twice_or_late_is_dropped_and_counted():
    story = grown()
    low = story.batch(Kind.USAGE, usage=[])
    story.use(cpu=HIGH)
    story.measure(low, low)
    assert story.knowledge.batches.dropped == 2


def test_what_another_process_used_says_nothing_of_this_one():
    story = grown()
    story.put(*(one.model_copy(update={"attempt": 1}) for one in story.roster.replicas))
    story.pass_time(15)
    usage = [
        ReplicaUsage(
            deployment_id=story.name,
            replica_id=one.replica_id,
            attempt=0,
            ended_at=story.wall.timestamp(),
            window_s=15,
            cpu_cores=0.01,
            cpus=CPUS,
        )
        for one in story.roster.replicas
    ]
    story.measure(story.batch(Kind.USAGE, usage=usage))
    story.decide()
    assert story.present.unknown == {"cpu": "no_samples"}


def test_durations_without_measurement_hold_and_with_no_request_fall():
    story = Story(by_duration(0.15, behavior=QUICK), floor=1)
    story.go_on(620, lambda: story.answer(10, each_s=0.2), every_s=5)
    assert story.in_force == 3
    assert set(story.go_on(900, lambda: None, every_s=5)) == {3}
    assert story.present.unknown == {"requestDuration": "no_samples"}
    assert story.go_on(900, lambda: story.answer(0, each_s=0), every_s=5)[-1] == 1


def test_totals_that_fell_under_the_same_counter_begin_the_measuring_anew():
    story = Story(by_duration(0.15))
    story.go_on(330, lambda: story.answer(10, each_s=0.2), every_s=5)
    assert story.in_force == 2
    story._totals = (0, 0)
    assert set(story.go_on(295, lambda: story.answer(10, each_s=0.2), every_s=5)) == {2}


def test_a_new_counter_begins_at_0_and_costs_no_count():
    story = Story(by_duration(0.15))
    story.go_on(100, lambda: story.answer(10, each_s=0.2), every_s=5)
    story._totals = (0, 0)
    batch = story.batch

    def renamed(kind, **content):
        return batch(kind, **{**content, "counter_id": "c2"})

    story.batch = renamed
    story.go_on(100, lambda: story.answer(10, each_s=0.2), every_s=5)
    measured = story.knowledge.counts.measured(story.name, now=story.now)
    assert (measured.answered, measured.measured_s) == (10 * 39, 195)


def test_requests_in_flight_that_are_unknown_hold_and_start_the_delay_anew():
    story = Story(by_concurrency(target=1, targetUtilizationPercentage=100, scaleDownDelaySeconds=60))
    story.go_on(30, lambda: story.carry(4), every_s=1)
    story.go_on(60, lambda: story.carry(1), every_s=1)
    assert story.in_force == 4
    assert set(story.go_on(600, lambda: None, every_s=2)) == {4}
    assert story.present.unknown == {"inFlight": "no_samples"}
    # Back again: it is measured for a whole window, and then the delay passes.
    assert set(story.go_on(115, lambda: story.carry(1), every_s=1)) == {4}
    assert story.go_on(60, lambda: story.carry(1), every_s=1)[-1] < 4


@pytest.mark.parametrize("hours", [1, -1])
def test_a_wall_clock_that_is_set_changes_nothing(hours):
    story, twin = grown(), grown()
    for one in (story, twin):
        one.go_on(30, lambda one=one: one.use(cpu=HIGH))
    story.wall = story.wall.replace(hour=story.wall.hour + hours)
    for load in (HIGH, 3 * HIGH, LOW, LOW):
        numbers = [one.go_on(60, lambda one=one: one.use(cpu=load)) for one in (story, twin)]  # noqa: B023
        assert numbers[0] == numbers[1]
