"""Which replicas count; the published table of cases, and the edges of each of its times."""

import pytest

from libs.common.scaling.grouping import Groups, group_replicas
from libs.common.scaling.replicas import Phase, Replica, Resource, Sample, fresh
from tests.unit.scaling.fleets import CPU_INITIALIZATION_S, INITIAL_READINESS_DELAY_S, NOW

CPU, MEMORY = Resource.CPU, Resource.MEMORY
MINUTE = 60.0


def one(*, started_s=None, is_ready=None, changed_s=None, phase=Phase.SUCCEEDED, is_leaving=False):
    """A replica by ages: how long ago it started, and since when it is ready or not."""
    return Replica(
        "one",
        phase,
        None if started_s is None else NOW - started_s,
        is_ready,
        None if changed_s is None else NOW - changed_s,
        is_leaving,
    )


def grouped(replicas, samples, resource):
    return group_replicas(
        replicas,
        samples,
        resource,
        now=NOW,
        cpu_initialization_s=CPU_INITIALIZATION_S,
        initial_readiness_delay_s=INITIAL_READINESS_DELAY_S,
    )


READY = Groups(ready=1)
UNREADY = Groups(unready=frozenset({"one"}))
MISSING = Groups(missing=frozenset({"one"}))
IGNORED = Groups(ignored=frozenset({"one"}))

JUST_NOW = Sample(1, age_s=0, window_s=0)


@pytest.mark.parametrize(
    ("replica", "sample", "resource", "expected"),
    [
        pytest.param(one(), Sample(1), MEMORY, READY, id="memory counts whatever the readiness"),
        pytest.param(one(started_s=0), JUST_NOW, CPU, UNREADY, id="cpu without a word on readiness"),
        pytest.param(
            one(started_s=60, is_ready=True, changed_s=30),
            Sample(1, age_s=0, window_s=30),
            CPU,
            READY,
            id="initialising, and a whole window was measured since it became ready",
        ),
        pytest.param(
            one(started_s=60, is_ready=True, changed_s=30),
            Sample(1, age_s=0, window_s=60),
            CPU,
            UNREADY,
            id="initialising, and the window began before it became ready",
        ),
        pytest.param(
            one(started_s=600, is_ready=False, changed_s=594),
            JUST_NOW,
            CPU,
            UNREADY,
            id="unready since six seconds after its start: never was ready",
        ),
        pytest.param(
            one(started_s=180, is_ready=True, changed_s=180),
            Sample(1, age_s=120, window_s=60),
            CPU,
            READY,
            id="initialised, so an old sample counts",
        ),
        pytest.param(
            one(started_s=600, is_ready=False, changed_s=540),
            JUST_NOW,
            CPU,
            READY,
            id="unready, but it was ready after its initialisation",
        ),
        pytest.param(
            one(started_s=600, is_ready=False, changed_s=590),
            JUST_NOW,
            CPU,
            READY,
            id="unready since exactly the readiness delay after its start",
        ),
        pytest.param(
            one(started_s=600, is_ready=False, changed_s=590.1),
            JUST_NOW,
            CPU,
            UNREADY,
            id="unready since just before the readiness delay had passed",
        ),
        pytest.param(
            one(started_s=119, is_ready=False, changed_s=1),
            JUST_NOW,
            CPU,
            UNREADY,
            id="initialising and unready",
        ),
        pytest.param(
            one(started_s=120, is_ready=True, changed_s=0),
            Sample(1, age_s=0, window_s=60),
            CPU,
            READY,
            id="the initialisation period ends with its last second",
        ),
        pytest.param(
            one(started_s=119.9, is_ready=True, changed_s=0),
            Sample(1, age_s=0, window_s=60),
            CPU,
            UNREADY,
            id="within the initialisation period, hot",
        ),
        pytest.param(
            one(started_s=60, is_ready=True, changed_s=None),
            Sample(1),
            CPU,
            READY,
            id="ready since before anything is known",
        ),
        pytest.param(
            one(started_s=600, is_ready=False, changed_s=None),
            Sample(1),
            CPU,
            UNREADY,
            id="unready since before anything is known",
        ),
        pytest.param(
            one(is_ready=True, changed_s=60), Sample(1), CPU, UNREADY, id="cpu of what never started"
        ),
        pytest.param(one(started_s=180), None, CPU, MISSING, id="no sample"),
        pytest.param(one(started_s=180), None, MEMORY, MISSING, id="no sample of memory"),
        pytest.param(one(phase=Phase.PENDING), None, CPU, UNREADY, id="pending"),
        pytest.param(one(phase=Phase.PENDING), Sample(1), MEMORY, UNREADY, id="pending, though measured"),
        pytest.param(
            one(phase=Phase.PENDING, is_leaving=True),
            Sample(1),
            CPU,
            IGNORED,
            id="leaving comes before pending",
        ),
        pytest.param(
            one(started_s=600, is_ready=True, changed_s=500, phase=Phase.RUNNING, is_leaving=True),
            Sample(1),
            CPU,
            IGNORED,
            id="leaving, though it still serves",
        ),
        pytest.param(one(phase=Phase.FAILED), Sample(1), CPU, IGNORED, id="failed"),
        pytest.param(one(phase=Phase.FAILED), None, MEMORY, IGNORED, id="failed, without a sample"),
    ],
)
def test_group_of_one(replica, sample, resource, expected):
    assert grouped([replica], {} if sample is None else {"one": sample}, resource) == expected


def test_nothing_is_in_no_group():
    assert grouped([], {}, CPU) == Groups()
    assert grouped([], {"stranger": Sample(1)}, CPU) == Groups()


def test_several():
    replicas = [
        Replica("unready", Phase.SUCCEEDED, NOW),
        Replica("ready", Phase.SUCCEEDED, NOW - 180, True, NOW - 180),
        Replica("missing", Phase.SUCCEEDED, NOW - 180),
    ]
    expected = Groups(1, frozenset({"unready"}), frozenset({"missing"}))
    assert grouped(replicas, {"unready": Sample(1), "ready": Sample(1)}, CPU) == expected
    assert grouped(replicas[::-1], {"ready": Sample(1), "unready": Sample(1)}, CPU) == expected


def test_the_defaults_are_those_of_kubernetes():
    young = Replica("one", Phase.RUNNING, NOW - 299, True, NOW)
    old = Replica("one", Phase.RUNNING, NOW - 300, True, NOW)
    assert group_replicas([young], {"one": Sample(1)}, CPU, now=NOW) == UNREADY
    assert group_replicas([old], {"one": Sample(1)}, CPU, now=NOW) == READY
    late = Replica("one", Phase.RUNNING, NOW - 600, False, NOW - 570)
    early = Replica("one", Phase.RUNNING, NOW - 600, False, NOW - 571)
    assert group_replicas([late], {"one": Sample(1)}, CPU, now=NOW) == READY
    assert group_replicas([early], {"one": Sample(1)}, CPU, now=NOW) == UNREADY


def test_a_sample_that_is_too_old_is_missing():
    measured = {"young": Sample(1, age_s=45), "old": Sample(1, age_s=45.1)}
    assert fresh(measured, max_age_s=45).keys() == {"young"}
