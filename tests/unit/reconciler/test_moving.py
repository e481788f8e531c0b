"""Each row of the table of `decide_departures`, and what a plan makes of who has to go elsewhere."""

from datetime import timedelta

import pytest

from libs.common.cluster.port import ReplicaPhase
from libs.common.events.replica import ReplicaReason, ReplicaState
from libs.common.events.rollout import (
    Move,
    MoveReason,
    ReplicasMoving,
    ReplicasRetiring,
    RetireReason,
    RolloutPhase,
)
from libs.common.state.rollout import RolloutState
from services.reconciler.moving import MOST_AT_ONCE, MOVE_S, decide_departures, decide_moves
from services.reconciler.plan import Because
from services.reconciler.retiring import Staying
from tests.unit.reconciler.scene import (
    START,
    listed,
    observed,
    plan,
    run_of,
    runs,
    settled,
    shown,
    spec,
    view,
)

CORDONED, ENDS, LOST = MoveReason.NODE_CORDONED, MoveReason.NODE_ENDS, MoveReason.NODE_LOST
LATER = START + timedelta(seconds=MOVE_S)
RUN = run_of("a")


def move(replica_id, reason=CORDONED, *, since=START, replicas=2):
    return Move(replica_id=replica_id, reason=reason, since=since, replicas=replicas)


def ready(replica_id, **more):
    return Staying(shown(replica_id, **more), listed(replica_id))


def starting(replica_id, **more):
    return Staying(shown(replica_id, **more), listed(replica_id, state=ReplicaState.STARTING))


def unplaced(replica_id):
    pending = shown(replica_id, phase=ReplicaPhase.PENDING, reason=ReplicaReason.UNSCHEDULABLE)
    return Staying(pending, listed(replica_id, state=ReplicaState.PENDING))


def departures(staying, goal, *, now=START, moves=()):
    recorded = {one.replica_id: one for one in moves}
    found = recorded | decide_moves(moves, staying, {RUN: goal}, START)
    return decide_departures(found, staying, {RUN: goal}, now=now, move_s=MOVE_S)


@pytest.mark.parametrize(
    ("goal", "staying", "leaving"),
    [
        pytest.param(1, [ready("a1", must_move=CORDONED)], "", id="nobody takes its place yet"),
        pytest.param(
            1, [ready("a1", must_move=CORDONED), starting("a2")], "", id="who does is not ready yet"
        ),
        pytest.param(1, [ready("a1", must_move=CORDONED), ready("a2")], "a1", id="who does is ready"),
        pytest.param(
            2,
            [ready("a1", must_move=CORDONED), ready("a2", must_move=CORDONED), ready("a3"), starting("a4")],
            "a2",
            id="each ready one lets one go, the youngest first",
        ),
        pytest.param(
            2,
            [starting("a1", must_move=LOST), ready("a2", must_move=CORDONED), ready("a3")],
            "a1",
            id="who serves nobody goes first",
        ),
        pytest.param(1, [starting("a1", must_move=CORDONED), starting("a2")], "", id="a start is not undone"),
    ],
)
def test_who_leaves(goal, staying, leaving):
    assert departures(staying, goal) == set(leaving.split())


@pytest.mark.parametrize(
    ("reason", "replacement", "now", "leaves"),
    [
        pytest.param(ENDS, unplaced("a2"), LATER, True, id="no place, and the node ends"),
        pytest.param(ENDS, None, LATER, True, id="not even made, and the node ends"),
        pytest.param(ENDS, unplaced("a2"), LATER - timedelta(seconds=1), False, id="not yet"),
        pytest.param(ENDS, starting("a2"), LATER, False, id="placed, and starts slowly"),
        pytest.param(CORDONED, unplaced("a2"), LATER, False, id="merely cordoned"),
        pytest.param(LOST, unplaced("a2"), LATER, False, id="silent: it may come back"),
    ],
)
def test_without_a_place_elsewhere_only_a_node_that_ends_is_left(reason, replacement, now, leaves):
    staying = [ready("a1", must_move=reason), *([replacement] if replacement else [])]
    assert departures(staying, 1, now=now) == ({"a1"} if leaves else set())


def test_no_more_are_left_without_a_place_than_have_none():
    staying = [ready("a1", must_move=ENDS), ready("a2", must_move=ENDS), starting("a3"), unplaced("a4")]
    assert departures(staying, 2, now=LATER) == {"a2"}


def test_an_announcement_that_was_taken_back_ends_nothing():
    staying = [ready("a1"), unplaced("a2")]
    assert departures(staying, 1, now=LATER, moves=[move("a1", ENDS)]) == set()


def test_a_fact_has_room_for_so_many():
    staying = [ready(f"a{number}", must_move=CORDONED) for number in range(MOST_AT_ONCE + 5)]
    first = decide_moves((), staying, {RUN: 1}, START)
    assert len(first) == MOST_AT_ONCE
    assert decide_moves(tuple(first.values()), staying, {RUN: 1}, LATER) == first


class TestPlan:
    def test_another_one_is_made_and_the_move_is_said(self):
        step = plan(
            view(rollout=settled("a", 2), roster=["a1", "a2"]),
            observed([shown("a1", must_move=CORDONED), "a2"]),
        )
        assert step.because == (Because.REPLICAS_HAVE_TO_MOVE,)
        assert step.workload is not None
        assert [run.replicas for run in step.workload.runs] == [3]
        assert step.facts == (ReplicasMoving(moves=(move("a1"),)),)

    def test_it_is_said_once(self):
        rollout = settled("a", 2, moves=[move("a1")])
        starts = listed("a3", state=ReplicaState.STARTING)
        here = observed([shown("a1", must_move=ENDS), "a2", "a3"])
        assert plan(view(rollout=rollout, roster=["a1", "a2", starts]), here, now=LATER).is_empty

    def test_it_leaves_when_the_other_one_is_ready_though_the_mark_is_gone(self):
        rollout = settled("a", 2, moves=[move("a1")])
        step = plan(view(rollout=rollout, roster=["a1", "a2", "a3"]), observed(["a1", "a2", "a3"]))
        assert step.facts[0] == ReplicasRetiring(replica_ids=("a1",), reason=RetireReason.MOVED)
        assert step.workload is None
        assert step.retires

    def test_what_has_left_is_not_replaced_again(self):
        rollout = settled("a", 2, retiring=["a1"], moves=[move("a1")])
        here = observed([shown("a1", must_move=CORDONED), "a2", "a3"])
        step = plan(view(rollout=rollout, roster=["a1", "a2", "a3"]), here)
        assert step.workload is None
        assert not step.retires

    def test_a_replica_that_ends_anyway_is_not_waited_for(self):
        ending = shown("a1", phase=ReplicaPhase.STOPPING, must_move=LOST)
        step = plan(view(rollout=settled("a", 2), roster=["a1", "a2"]), observed([ending, "a2"]))
        assert step.because == (Because.REPLICAS_ARE_MISSING,)
        assert not any(isinstance(fact, ReplicasMoving) for fact in step.facts)

    def test_with_fewer_wanted_it_leaves_before_others(self):
        rollout = settled("a", 2, moves=[move("a1")])
        step = plan(
            view(spec(replicas=1), spec_id="spec-2", rollout=rollout, roster=["a1", "a2"]),
            observed([shown("a1", must_move=CORDONED), "a2"]),
        )
        assert ReplicasRetiring(replica_ids=("a1",), reason=RetireReason.MOVED) in step.facts

    def test_none_wanted_is_no_move(self):
        step = plan(
            view(spec(enabled=False), rollout=settled("a", 1), roster=["a1"]),
            observed([shown("a1", must_move=CORDONED)]),
        )
        assert step.facts[-2] == ReplicasRetiring(replica_ids=("a1",), reason=RetireReason.DISABLED)
        assert not any(isinstance(fact, ReplicasMoving) for fact in step.facts)

    def test_an_old_run_that_is_replaced_anyway_is_not_moved(self):
        starts = listed("b1", state=ReplicaState.STARTING)
        rollout = RolloutState(applied_spec_id="spec-b", runs=runs("b", "a"))
        step = plan(
            view(spec("b", replicas=1), rollout=rollout, roster=["a1", starts]),
            observed([shown("a1", must_move=CORDONED), "b1"]),
        )
        assert step.workload is None
        assert not any(isinstance(fact, ReplicasMoving) for fact in step.facts)

    def test_of_a_spec_that_failed_the_runs_before_it_move_all_the_same(self):
        rollout = settled("a", 2)
        failed = view(
            spec("b"),
            rollout=RolloutState(**{**_fields(rollout), "failed_spec_id": "spec-b"}),
            roster=["a1", "a2"],
        )
        step = plan(failed, observed([shown("a1", must_move=CORDONED), "a2"]))
        assert step.because == (Because.REPLICAS_HAVE_TO_MOVE,)
        assert step.workload is not None
        assert [(run.run_id, run.replicas) for run in step.workload.runs] == [(RUN, 3)]

        moving = RolloutState(**{**_fields(rollout), "failed_spec_id": "spec-b", "moves": (move("a1"),)})
        here = observed([shown("a1", must_move=CORDONED), "a2", "a3"])
        starts = listed("a3", state=ReplicaState.STARTING)
        assert plan(view(spec("b"), rollout=moving, roster=["a1", "a2", starts]), here).workload is None
        step = plan(view(spec("b"), rollout=moving, roster=["a1", "a2", "a3"]), here)
        assert ReplicasRetiring(replica_ids=("a1",), reason=RetireReason.MOVED) in step.facts

    def test_time_makes_another_plan_only_where_a_node_ends(self):
        def depends(reason):
            here = observed([shown("a1", must_move=reason)])
            rollout = settled("a", 1, moves=[move("a1")])
            return plan(view(spec(replicas=1), rollout=rollout, roster=["a1"]), here).depends_on_time

        assert [depends(reason) for reason in (None, CORDONED, ENDS)] == [False, False, True]

    def test_the_phase_stays_until_somebody_leaves(self):
        step = plan(
            view(rollout=settled("a", 2), roster=["a1", "a2"]),
            observed([shown("a1", must_move=CORDONED), "a2"]),
        )
        assert not any(getattr(fact, "phase", None) is RolloutPhase.RETIRING for fact in step.facts)


def _fields(rollout):
    return {name: getattr(rollout, name) for name in rollout.__slots__}
