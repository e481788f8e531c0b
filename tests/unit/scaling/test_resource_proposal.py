"""What the use of cpu proposes; the published cases, as numbers in and numbers out."""

import pytest

from libs.common.scaling.proposals import Proposal, Tolerance, Unknown
from libs.common.scaling.replicas import Resource
from libs.common.scaling.resource_proposal import propose_resource
from tests.unit.scaling.fleets import (
    CPU_INITIALIZATION_S,
    INITIAL_READINESS_DELAY_S,
    NOW,
    fleet,
    samples,
)

SPREAD = [900, 1000, 1100]


def proposed(kinds, levels, target, *, current=None, requests=None, tolerance=None, resource=Resource.CPU):
    replicas = fleet(kinds, requests=requests)
    return propose_resource(
        replicas,
        samples(*levels),
        resource=resource,
        requests={one.id: one.requests[resource] for one in replicas},
        target_percent=target,
        current=len(kinds) if current is None else current,
        now=NOW,
        tolerance=tolerance or Tolerance(),
        cpu_initialization_s=CPU_INITIALIZATION_S,
        initial_readiness_delay_s=INITIAL_READINESS_DELAY_S,
    )


@pytest.mark.parametrize(
    ("kinds", "levels", "target", "current", "expected"),
    [
        pytest.param("rrr", [300, 500, 700], 30, 3, (5, 50, 500), id="up"),
        pytest.param("urr", [300, 500, 700], 30, 3, (4, 60, 600), id="up less: an unready one is idle"),
        pytest.param("hrr", [300, 500, 700], 30, 3, (4, 60, 600), id="up less: a hot one is idle"),
        pytest.param(
            "ruu", [400, 500, 700], 30, 3, (3, 40, 400), id="unready ones idle: it would turn round"
        ),
        pytest.param("rhh", [400, 500, 700], 30, 3, (3, 40, 400), id="hot ones idle: it would turn round"),
        pytest.param("rrff", [500, 700], 30, 2, (4, 60, 600), id="up: failed ones do not count"),
        pytest.param("rrll", [500, 700], 30, 2, (4, 60, 600), id="up: leaving ones do not count"),
        pytest.param("rrll", [500, 700, 9000, 9000], 30, 2, (4, 60, 600), id="nor does what they use"),
        pytest.param("rrrrr", [100, 300, 500, 250, 250], 50, 5, (3, 28, 280), id="down"),
        pytest.param(
            "rrruu", [100, 300, 500, 250, 250], 50, 5, (2, 30, 300), id="down: unready ones are out"
        ),
        pytest.param("rrrhh", [100, 300, 500, 250, 250], 50, 5, (2, 30, 300), id="down: hot ones are out"),
        pytest.param("rpppp", [100], 50, 5, (1, 10, 100), id="down: pending ones are out"),
        pytest.param("rrrrrff", [100, 300, 500, 250, 250], 50, 5, (3, 28, 280), id="down: failed ones"),
        pytest.param("rrrrrll", [100, 300, 500, 250, 250], 50, 5, (3, 28, 280), id="down: leaving ones"),
        pytest.param("rrrr", [400, 95], 100, 4, (3, 24, 247), id="down less: missing ones are full"),
        pytest.param("rr", [1000], 100, 2, (2, 100, 1000), id="one missing, on target"),
        pytest.param("rr", [1900], 100, 2, (2, 190, 1900), id="one missing: idle, it would not go up"),
        pytest.param("rr", [600], 100, 2, (2, 60, 600), id="one missing: full, it would not go down"),
        pytest.param("urr", [100, 450], 50, 3, (3, 45, 450), id="one missing and one unready: no change"),
        pytest.param("hrr", [100, 450], 50, 3, (3, 45, 450), id="one missing and one hot: no change"),
        pytest.param("urr", [100, 2000], 50, 3, (4, 200, 2000), id="one missing and one unready: up"),
        pytest.param("hrr", [100, 2000], 50, 3, (4, 200, 2000), id="one missing and one hot: up"),
        pytest.param("urrr", [100, 100, 100], 50, 4, (3, 10, 100), id="one missing and one unready: down"),
        pytest.param("rrr", [100, 100], 50, 2, (2, 10, 100), id="one more than asked for, and it is missing"),
        pytest.param(
            "rrrr", [4000, 9500, 3000, 7000, 3200, 2000], 100, 4, (24, 587, 5875), id="of strangers"
        ),
        pytest.param("r", [100], 10, 1, (1, 10, 100), id="on target"),
        pytest.param("r", [0], 10, 1, (0, 0, 0), id="idle: nothing is needed"),
        pytest.param("rrr", [100, 100, 100], 50, 3, (1, 10, 100), id="a fraction of one is one"),
        pytest.param("rrr", [840, 840, 840], 50, 3, (6, 84, 840), id="3 x 84/50 = 5.04, rounded up"),
    ],
)
def test_published_cases(kinds, levels, target, current, expected):
    """expected: replicas, percent, average of a replica."""
    proposal = proposed(kinds, levels, target, current=current)
    assert isinstance(proposal, Proposal)
    assert (proposal.replicas, proposal.utilization_percent, proposal.average) == expected


def test_a_missing_one_is_as_full_as_a_target_above_100_percent():
    proposal = proposed("urrr", [200, 100, 100], 300, requests=[1000, 1000, 2000, 2000])
    assert (proposal.replicas, proposal.utilization_percent, proposal.average) == (2, 6, 100)


@pytest.mark.parametrize(
    ("levels", "tolerance", "replicas", "utilization"),
    [
        pytest.param([1010, 1030, 1020], Tolerance(), 3, 102, id="within 10 %"),
        pytest.param([909, 1010, 1111], Tolerance(up=0.0, down=0.0), 4, 101, id="outside of nothing"),
        pytest.param([1890, 1910, 1900], Tolerance(up=2.0), 3, 190, id="within 200 % up"),
        pytest.param([1100, 1080, 1090], Tolerance(up=0.08, down=2.0), 4, 109, id="outside of 8 % up"),
        pytest.param([660, 640, 650], Tolerance(down=0.36), 3, 65, id="within 36 % down"),
        pytest.param([660, 640, 650], Tolerance(down=0.34), 2, 65, id="outside of 34 % down"),
        pytest.param([1100, 1100, 1100], Tolerance(), 3, 110, id="exactly 10 % above"),
        pytest.param([1110, 1110, 1110], Tolerance(), 4, 111, id="11 % above"),
        pytest.param([900, 900, 900], Tolerance(), 3, 90, id="exactly 10 % below"),
        pytest.param([660, 660, 660], Tolerance(), 2, 66, id="34 % below"),
        pytest.param([1109, 1109, 1109], Tolerance(), 3, 110, id="whole percent: 110.9 % is 110 %"),
    ],
)
def test_tolerance(levels, tolerance, replicas, utilization):
    proposal = proposed("rrr", levels, 100, requests=SPREAD, tolerance=tolerance)
    assert (proposal.replicas, proposal.utilization_percent) == (replicas, utilization)


@pytest.mark.parametrize(
    ("target", "replicas"),
    [pytest.param(56, 9, id="just outside"), pytest.param(55, 10, id="just within")],
)
def test_tolerance_with_requests_that_differ(target, replicas):
    requests = [400, 200, 310, 290, 302, 298, 301, 299, 300, 300]
    proposal = proposed("r" * 10, [150] * 10, target, requests=requests)
    assert (proposal.replicas, proposal.utilization_percent, proposal.average) == (replicas, 50, 150)


@pytest.mark.parametrize(
    ("kinds", "levels", "unknown"),
    [
        pytest.param("rrrr", [], Unknown.NO_SAMPLES, id="nothing measured"),
        pytest.param("", [100], Unknown.NO_REPLICAS, id="no replica"),
        pytest.param("uu", [100, 200], Unknown.NO_READY_SAMPLES, id="only unready ones"),
        pytest.param("lf", [100, 200], Unknown.NO_READY_SAMPLES, id="only leaving and failed ones"),
        pytest.param("p", [100], Unknown.NO_READY_SAMPLES, id="only a pending one"),
    ],
)
def test_unknown(kinds, levels, unknown):
    assert proposed(kinds, levels, 50) is unknown


def raw(requests, measured):
    return propose_resource(
        fleet("r"),
        measured,
        resource=Resource.CPU,
        requests=requests,
        target_percent=100,
        current=1,
        now=NOW,
    )


def test_only_strangers_were_measured():
    measured = {"an older one": samples(100)["0"]}
    assert raw({"0": 1000}, measured) is Unknown.NO_MATCHING_SAMPLES


def test_a_request_is_missing():
    assert raw({}, samples(200)) is Unknown.NO_REQUEST


def test_a_request_of_nothing_has_no_percentage():
    assert raw({"0": 0}, samples(200)) is Unknown.NO_MATCHING_SAMPLES


def test_memory_of_an_unready_one_counts():
    proposal = proposed("urr", [900, 900, 900], 30, resource=Resource.MEMORY)
    assert (proposal.replicas, proposal.ready, proposal.unready) == (9, 3, 0)


@pytest.mark.parametrize("target", [0, -1, float("nan"), float("inf")])
def test_a_target_is_above_0(target):
    with pytest.raises(ValueError, match=r"target_percent is .*: it must be a number above 0"):
        proposed("r", [100], target)


def test_the_arithmetic_is_told():
    proposal = proposed("urrr", [100, 100, 100], 50)
    assert proposal.ratio == 0.2
    assert proposal.counted_ratio == 0.8
    assert (proposal.counted, proposal.ready, proposal.unready, proposal.missing) == (3, 2, 1, 1)
    assert not proposal.is_held
    assert proposed("rrr", [500, 500, 500], 50).is_held
