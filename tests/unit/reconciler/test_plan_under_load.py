"""What the reconciler does with a number that goes by load: each row of the table that says so."""

from dataclasses import replace

import pytest

from libs.common.cluster.port import RunWorkload
from libs.common.events.replica import ReplicaState
from libs.common.events.rollout import (
    Move,
    MoveReason,
    ReplicasMoving,
    ReplicasRetiring,
    RetireReason,
    SpecHealthy,
)
from libs.common.state.rollout import RolloutState
from services.reconciler.plan import Because, Plan
from tests.support.deployments import by_load
from tests.unit.reconciler.scene import (
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

STARTING = ReplicaState.STARTING


def numbers(step: Plan) -> dict[str, int]:
    """How many replicas of each run the cluster is asked for."""
    asked: tuple[RunWorkload, ...] = () if step.workload is None else step.workload.runs
    return {run.template.image: run.replicas for run in asked}


def moves_of(step: Plan) -> tuple[Move, ...]:
    return next(fact.moves for fact in step.facts if isinstance(fact, ReplicasMoving))


def rolling_out(new: str = "b") -> RolloutState:
    """The spec of the new run is applied, and the older one still serves."""
    return replace(settled("a", 2), applied_spec_id=f"spec-{new}", runs=runs(new, "a"))


@pytest.mark.parametrize(("decided", "asked"), [(3, 3), (9, 5), (1, None)], ids=["4", "capped", "floor"])
def test_a_raised_number_is_made_within_the_bounds(decided, asked):
    step = plan(
        view(by_load(spec()), decided=decided, rollout=settled("a", 2), roster=["a1", "a2"]),
        observed(["a1", "a2"]),
    )
    assert numbers(step).get("a") == asked


def test_a_lowered_number_retires_the_youngest_first():
    ids = ["a1", "a2", "a3", "a4"]
    step = plan(
        view(by_load(spec()), decided=3, rollout=settled("a", 4), roster=ids),
        observed(ids),
    )
    assert ReplicasRetiring(replica_ids=("a4",), reason=RetireReason.SCALED_DOWN) in step.facts
    assert step.workload is None


def test_a_new_run_starts_at_the_number_in_force():
    ids = ["a1", "a2", "a3", "a4"]
    step = plan(
        view(by_load(spec("b")), decided=4, rollout=settled("a", 4), roster=ids),
        observed(ids),
    )
    assert numbers(step) == {"b": 4, "a": 4}


def test_the_old_run_is_gone_when_as_many_are_ready_and_not_at_the_floor():
    rollout = replace(rolling_out(), runs=runs("b", "a"))
    here = ["a1", "a2", "a3", "b4", "b5", "b6"]

    def step(ready: list[str]) -> Plan:
        roster = [one if one in ready else listed(one, state=STARTING) for one in here]
        return plan(view(by_load(spec("b")), decided=3, rollout=rollout, roster=roster), observed(here))

    early = step(["a1", "a2", "a3", "b4", "b5"])
    assert ReplicasRetiring(replica_ids=("a2", "a3"), reason=RetireReason.SUPERSEDED) in early.facts
    # The floor of 2 is what makes the spec healthy.
    assert SpecHealthy(spec_id="spec-b", run_id=run_of("b"), replicas=2) in early.facts
    late = step(here)
    leaving = ReplicasRetiring(replica_ids=("a1", "a2", "a3"), reason=RetireReason.SUPERSEDED)
    assert leaving in late.facts


class TestWhileANewRunDoesNotComeUp:
    def test_more_load_is_met_in_the_run_that_serves(self):
        here = ["a1", "a2", "b3", "b4", "b5", "b6"]
        broken = [listed(one, state=STARTING) for one in here[2:]]
        step = plan(
            view(by_load(spec("b")), decided=4, rollout=rolling_out(), roster=["a1", "a2", *broken]),
            observed(here),
        )
        assert Because.REPLICAS_ARE_MISSING in step.because
        assert numbers(step) == {"b": 4, "a": 4}

    def test_what_is_made_there_is_not_told_to_leave_before_it_served(self):
        here = ["a1", "a2", "a7", "a8", "a9", "b3", "b4", "b5", "b6"]
        roster = ["a1", "a2", *(listed(one, state=STARTING) for one in here[2:])]
        step = plan(view(by_load(spec("b")), decided=4, rollout=rolling_out(), roster=roster), observed(here))
        leaving = [fact.replica_ids for fact in step.facts if isinstance(fact, ReplicasRetiring)]
        assert leaving == [("a9",)]  # one more than the number in force
        assert step.workload is None

    def test_a_number_that_falls_leaves_the_run_that_serves_as_it_is(self):
        here = ["a1", "a2", "a3", "a4", "b5", "b6"]
        broken = [listed(one, state=STARTING) for one in here[4:]]
        lower = view(
            by_load(spec("b"), most=2), decided=2, rollout=rolling_out(), roster=[*here[:4], *broken]
        )
        assert plan(lower, observed(here)).workload is None

    def test_a_run_that_nobody_is_ready_in_gets_no_more(self):
        here = ["a1", "b2", "b3", "b4", "b5"]
        roster = [listed(one, state=STARTING, was_ready=one == "a1") for one in here]
        step = plan(view(by_load(spec("b")), decided=4, rollout=rolling_out(), roster=roster), observed(here))
        assert step.workload is None

    def test_who_has_to_move_is_replaced_there_also_where_nobody_else_serves(self):
        here = ["a1", "b3", "b4"]
        broken = [listed(one, state=STARTING) for one in here[1:]]
        moving = shown("a1", must_move=MoveReason.NODE_ENDS)
        step = plan(
            view(by_load(spec("b")), decided=2, rollout=rolling_out(), roster=["a1", *broken]),
            observed([moving, *here[1:]]),
        )
        assert [move.replica_id for move in moves_of(step)] == ["a1"]
        assert numbers(step) == {"b": 2, "a": 3}

    def test_a_number_that_a_person_raises_is_for_the_new_run_alone(self):
        step = plan(view(spec("b", 4), rollout=settled("a", 2), roster=["a1", "a2"]), observed(["a1", "a2"]))
        assert numbers(step) == {"b": 4, "a": 2}

    def test_also_where_the_cluster_has_refused_the_new_spec(self):
        failed = replace(settled("a", 2), failed_spec_id="spec-b")
        step = plan(
            view(by_load(spec("b")), decided=3, rollout=failed, roster=["a1", "a2"]),
            observed(["a1", "a2"]),
        )
        assert numbers(step) == {"a": 3}
        assert not any(isinstance(fact, ReplicasRetiring) for fact in step.facts)


def test_one_that_is_missing_in_a_run_that_serves_itself_is_made_once():
    step = plan(
        view(by_load(spec()), decided=3, rollout=settled("a", 3), roster=["a1", "a2"]),
        observed(["a1", "a2", shown("a3")]),
    )
    assert step.workload is None
