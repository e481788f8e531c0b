"""The autoscaler over minutes and hours, on a clock that only the test moves."""

import itertools

from libs.common.events.rollout import (
    ReplicasRetiring,
    RetireReason,
    SpecFailed,
    SpecFailedReason,
    SpecHealthy,
)
from tests.support.scaling_story import CPUS, Story, by_concurrency, by_cpu, by_duration


def levels(numbers: list[int]) -> list[int]:
    """Without repeats."""
    return [number for number, _ in itertools.groupby(numbers)]


def test_load_by_cpu_goes_up_at_once_and_down_after_the_window():
    story = Story(by_cpu(50))
    assert levels(story.go_on(60, lambda: story.use(cpu=0.84 * CPUS))) == [2]
    ((at, first),) = story.decisions
    assert (first.from_replicas, first.to_replicas, first.winner) == (1, 2, "cpu")
    numbers = story.go_on(270, lambda: story.use(cpu=0.1 * CPUS))
    assert levels(numbers) == [2]
    assert story.present.stabilised.reason == "ScaleDownStabilized"
    assert story.present.held_until > story.wall
    assert story.go_on(60, lambda: story.use(cpu=0.1 * CPUS))[-1] == 1
    assert story.decisions[-1][0] - at > 300


def test_one_to_two_to_three_and_down_again_after_the_window():
    """Too slow by a little: 1 to 2, five minutes later 2 to 3; once it is fast, down after five minutes."""
    story = Story(by_duration(0.15))
    assert levels(story.go_on(620, lambda: story.answer(10, each_s=0.2), every_s=5)) == [1, 2, 3]
    began = story.now
    numbers = story.go_on(700, lambda: story.answer(10, each_s=0.05), every_s=5)
    assert levels(numbers)[0] == 3
    assert levels(numbers)[-1] == 1
    assert story.decisions[2][0] - began >= 300


def test_a_load_that_flaps_goes_up_and_stays():
    story = Story(by_cpu(50, behavior={}))
    loads = itertools.cycle([1.6, 0.2])
    numbers = story.go_on(1800, lambda: story.use(cpu=next(loads) * CPUS), every_s=60)
    assert len(levels(numbers)) == 1
    assert len(story.decisions) == 1


def test_bounds_that_change_in_the_middle_of_the_window_count_at_once():
    story = Story(by_cpu(50, most=8))
    story.go_on(120, lambda: story.use(cpu=4 * CPUS))
    assert story.in_force == 8
    story.register(autoscaling=by_cpu(50, most=5))
    assert story.in_force == 5
    assert set(story.go_on(60, lambda: story.use(cpu=0.1 * CPUS))) == {5}
    story.register(floor=3)
    numbers = story.go_on(600, lambda: story.use(cpu=0.1 * CPUS))
    assert (numbers[0], numbers[-1]) == (5, 3)


def test_off_and_on_again_begins_at_the_floor_and_remembers_nothing():
    story = Story(by_cpu(50))
    story.go_on(120, lambda: story.use(cpu=2 * CPUS))
    assert story.in_force == 4
    story.register(autoscaling=by_cpu(50, enabled=False))
    assert story.in_force == 1
    assert story.decide() is None
    story.pass_time(15)
    story.register(autoscaling=by_cpu(50))
    assert story.in_force == 1
    assert set(story.go_on(60, lambda: story.use(cpu=0.5 * CPUS))) == {1}
    assert set(story.go_on(60, lambda: story.use(cpu=1 * CPUS))) == {2}


def test_a_rollout_under_load_goes_up_and_only_comes_down_when_it_is_healthy():
    story = Story(by_cpu(50))
    story.go_on(60, lambda: story.use(cpu=1 * CPUS))
    assert story.in_force == 2
    story.start_s = 1e9  # The new run never becomes ready.
    story.register(run="run-2", is_healthy=False)
    story.keep_up()
    old = [one.replica_id for one in story.roster.replicas if one.run_id == "run-1"]
    assert len(old) == 2
    numbers = story.go_on(600, lambda: story.use(cpu=0.1 * CPUS, only=old))
    assert set(numbers) == {2}
    assert story.present.reason == "rolling_out"
    assert set(story.go_on(60, lambda: story.use(cpu=2 * CPUS, only=old))) == {4}
    story.healthy()
    story.put(*(story._ready(one) for one in story.roster.replicas if one.run_id == "run-2"))
    story.start_s = 0
    assert story.go_on(600, lambda: story.use(cpu=0.1 * CPUS))[-1] == 1


def test_an_excess_is_halved_until_it_is_gone():
    story = Story(
        by_concurrency(most=20, target=1, targetUtilizationPercentage=100, scaleDownDelaySeconds=120)
    )
    story.go_on(30, lambda: story.carry(9), every_s=1)
    assert story.in_force == 9
    numbers = story.go_on(1200, lambda: story.carry(1), every_s=1)
    assert levels(numbers) == [9, 5, 3, 2, 1]
    steps = [at for at, fact in story.decisions if fact.to_replicas < fact.from_replicas]
    assert all(after - before >= 120 for before, after in itertools.pairwise(steps))


def test_load_that_comes_back_within_the_delay_removes_nothing_and_begins_it_anew():
    story = Story(by_concurrency(target=1, targetUtilizationPercentage=100, scaleDownDelaySeconds=300))
    story.go_on(30, lambda: story.carry(4), every_s=1)
    assert set(story.go_on(240, lambda: story.carry(1), every_s=1)) == {4}
    assert set(story.go_on(60, lambda: story.carry(4), every_s=1)) == {4}
    assert set(story.go_on(300, lambda: story.carry(1), every_s=1)) == {4}
    assert story.go_on(60, lambda: story.carry(1), every_s=1)[-1] < 4


def test_a_burst_is_answered_within_the_panic_window():
    story = Story(by_concurrency(target=10))
    story.go_on(60, lambda: story.carry(3), every_s=1)
    assert story.in_force == 1
    numbers = story.go_on(6, lambda: story.carry(60), every_s=1)
    assert numbers[-1] >= 8


def test_a_replica_that_leaves_is_no_longer_counted_by_cpu():
    """It ends what it began, however much that takes: no load that another replica would take over."""
    story = Story(by_cpu(50), floor=2)

    def use() -> None:
        for name, cpu in (("r0", 0.5), ("r1", 1.0)):
            story.use(cpu=2 * cpu * CPUS, only=[name])

    story.tell(ReplicasRetiring(replica_ids=("r1",), reason=RetireReason.SCALED_DOWN))
    assert levels(story.go_on(60, use)) == [2]
    assert story.present.metrics[0].ready == 1


def test_a_replica_that_leaves_bears_no_request_in_flight():
    story = Story(by_concurrency(target=1, targetUtilizationPercentage=100, windowSeconds=60), floor=2)
    story.tell(ReplicasRetiring(replica_ids=("r1",), reason=RetireReason.SCALED_DOWN))
    story.go_on(60, lambda: story.carry(1), every_s=1)
    assert story.present.in_flight.ready == 1


def test_a_spec_that_cannot_be_applied_is_no_rollout_that_holds_the_number():
    story = Story(by_cpu(50))
    story.go_on(60, lambda: story.use(cpu=0.84 * CPUS))
    assert story.in_force == 2
    story.tell(
        SpecFailed(spec_id="spec-1", reason=SpecFailedReason.CANNOT_APPLY, message="the cluster refuses it")
    )
    story.tell(SpecHealthy(spec_id="spec-0", run_id="run-1", replicas=1))
    numbers = story.go_on(400, lambda: story.use(cpu=0.1 * CPUS))
    assert not story.present.is_rolling_out
    assert numbers[-1] == 1


def test_after_a_pause_of_the_process_the_number_in_force_counts_as_recommended():
    """Nobody knows what was recommended meanwhile, so nothing falls until a whole window was looked at."""
    story = Story(by_cpu(50))
    story.go_on(60, lambda: story.use(cpu=0.84 * CPUS))
    story.pass_time(400)
    numbers = story.go_on(290, lambda: story.use(cpu=0.1 * CPUS))
    assert levels(numbers) == [2]
    assert story.go_on(60, lambda: story.use(cpu=0.1 * CPUS))[-1] == 1
