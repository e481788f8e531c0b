"""What docs/reference/scaling.md works out by hand."""

from libs.common.scaling.behavior import Behavior
from libs.common.scaling.concurrency import ConcurrencyMemory, decide_concurrency
from libs.common.scaling.conditions import Reason
from libs.common.scaling.in_flight import InFlightPolicy
from libs.common.scaling.limiting import Change, limit
from libs.common.scaling.proposals import rounded_up
from libs.common.scaling.replicas import Bounds, Resource
from libs.common.scaling.request_duration import RequestDuration, propose_duration
from libs.common.scaling.resource_proposal import propose_resource
from tests.unit.scaling.fleets import NOW, fleet, samples


def cpu_of_three(*levels):
    return propose_resource(
        fleet("rrr"),
        samples(*levels),
        resource=Resource.CPU,
        requests={"0": 1000, "1": 1000, "2": 1000},
        target_percent=50,
        current=3,
        now=NOW,
    )


def test_cpu():
    proposal = cpu_of_three(840, 840, 840)
    assert (proposal.utilization_percent, proposal.ratio, proposal.replicas) == (84, 1.68, 6)


def test_cpu_with_one_missing():
    proposal = cpu_of_three(840, 840)
    assert (proposal.ratio, proposal.counted_ratio, proposal.counted, proposal.replicas) == (1.68, 1.12, 3, 4)


def test_duration():
    measured = RequestDuration(sum_us=9_000_000, answered=100)
    since = [NOW - 3600] * 3
    proposal = propose_duration(measured, target_us=150_000, ready_since=since, current=3, now=NOW)
    assert (proposal.ratio, proposal.replicas) == (0.6, 2)


def test_limits():
    changes = [Change(1, NOW - 10)]
    for maximum, expected in ((10, (6, Reason.SCALE_UP_LIMIT)), (5, (5, Reason.TOO_MANY_REPLICAS))):
        found = limit(3, 20, bounds=Bounds(1, maximum), behavior=Behavior(), changes=changes, now=NOW)
        assert (found.replicas, found.reason) == expected


def test_in_flight():
    policy = InFlightPolicy(target=10).published
    decision = decide_concurrency(policy, stable=25, panic=25, ready=4, memory=ConcurrencyMemory(), now=NOW)
    assert decision.replicas == 4


def test_a_product_a_hair_above_a_whole_number_is_rounded_up():
    assert 0.55 * 100 > 55
    assert rounded_up(0.55 * 100) == 56
