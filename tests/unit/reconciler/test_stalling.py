"""A rollout that takes too long is called stalled, once, with what keeps it; nothing is undone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.common.cluster.port import ReplicaPhase
from libs.common.events.replica import ReplicaReason, ReplicaState
from libs.common.events.rollout import RolloutPhase, RolloutProgressed
from libs.common.machine_types.catalogue import MachineType
from libs.common.spec.model import Spec
from libs.common.state.rollout import RolloutState
from services.reconciler.plan import plan
from tests.unit.reconciler.scene import START, listed, observed, progressed, runs, settled, shown, spec, view

LATE = START + timedelta(seconds=1800)
WAITING, STALLED = RolloutPhase.WAITING_FOR_READY, RolloutPhase.STALLED


def under_way(phase: RolloutPhase = WAITING) -> RolloutState:
    return RolloutState(applied_spec_id="spec-a", runs=runs("a"), progress=progressed("a", phase, 2, 1))


def one_waits(reason: ReplicaReason | None = ReplicaReason.UNSCHEDULABLE, message: str = "0/3 nodes"):
    waiting = replace(shown("a2", phase=ReplicaPhase.PENDING, reason=reason), message=message)
    return observed(["a1", waiting])


ROSTER = ["a1", listed("a2", state=ReplicaState.PENDING)]


def progress(step) -> list[RolloutProgressed]:
    return [fact for fact in step.facts if isinstance(fact, RolloutProgressed)]


def test_it_is_stalled_when_it_takes_as_long_as_it_may():
    given = view(rollout=under_way(), roster=ROSTER)
    before = plan(given, one_waits(), now=LATE - timedelta(seconds=1))
    assert before.is_empty
    assert before.depends_on_time
    (fact,) = progress(plan(given, one_waits(), now=LATE))
    assert (fact.phase, fact.spec_id, fact.since) == (STALLED, "spec-a", START)
    assert (fact.replicas, fact.ready_replicas) == (2, 1)
    assert fact.message == "1 of 2 replicas are ready after 1800 s: unschedulable: 0/3 nodes"


def test_it_is_said_once_and_nothing_is_undone():
    given = view(rollout=under_way(STALLED), roster=ROSTER)
    assert plan(given, one_waits(message="0/4 nodes"), now=LATE + timedelta(days=1)).is_empty


def test_when_it_is_healthy_after_all_it_is_complete():
    given = view(rollout=under_way(STALLED), roster=["a1", "a2"])
    (fact,) = progress(plan(given, observed(["a1", "a2"]), now=LATE))
    assert (fact.phase, fact.message) == (RolloutPhase.COMPLETE, None)


@pytest.mark.parametrize(
    "rollout",
    [
        pytest.param(replace(settled("a", 2), progress=progressed("a", WAITING, 2, 1)), id="it was healthy"),
        pytest.param(replace(under_way(), failed_spec_id="spec-a"), id="it was refused"),
    ],
)
def test_what_is_no_rollout_does_not_stall(rollout):
    step = plan(view(rollout=rollout, roster=ROSTER), one_waits(), now=LATE)
    assert progress(step) == []
    assert not step.depends_on_time


def test_the_next_spec_begins_anew():
    given = view(spec("b"), rollout=under_way(STALLED), roster=ROSTER)
    (fact,) = progress(plan(given, one_waits(), now=LATE))
    assert (fact.phase, fact.spec_id, fact.since) == (WAITING, "spec-b", LATE)


def test_it_says_what_the_roster_knows_where_the_cluster_says_nothing():
    crashed = listed("a2", state=ReplicaState.FAILED).model_copy(
        update={"reason": ReplicaReason.EXITED, "message": "exited with status 1"}
    )
    here = observed(["a1", shown("a2", phase=ReplicaPhase.EXITED)])
    given = view(rollout=under_way(), roster=["a1", crashed])
    (fact,) = progress(plan(given, here, now=LATE))
    assert fact.message.endswith(": exited: exited with status 1")


def test_one_that_is_not_there_yet_says_nothing():
    (fact,) = progress(plan(view(rollout=under_way(), roster=["a1"]), observed(["a1"]), now=LATE))
    assert fact.message == "1 of 2 replicas are ready after 1800 s"


FULL = MachineType.model_validate({"name": "C4", "cpus": 1.0, "memoryGib": 1.0, "surge": False})


@pytest.mark.parametrize(
    ("says", "types", "makes_room"),
    [(None, {}, False), (None, {"C4": FULL}, True), (True, {"C4": FULL}, False), (False, {}, True)],
)
def test_the_spec_says_whether_it_surges_else_its_machine_type(says, types, makes_room):
    wanted = spec("b", 1)
    wanted = Spec.model_validate(
        {**wanted.model_dump(), "resources": {**wanted.resources.model_dump(), "surge": says}}
    )
    pending = shown("b1", phase=ReplicaPhase.PENDING, reason=ReplicaReason.UNSCHEDULABLE)
    given = view(
        wanted,
        rollout=replace(settled("a", 1), applied_spec_id="spec-b", progress=progressed("b", WAITING, 1, 0)),
        roster=["a1", listed("b1", state=ReplicaState.PENDING)],
    )
    step = plan(given, observed(["a1", pending]), now=START, machine_types=types)
    assert step.retires is makes_room
