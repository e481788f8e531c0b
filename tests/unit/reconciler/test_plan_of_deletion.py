"""The last rows of the table of `plan`: a deployment that goes."""

from dataclasses import replace

from libs.common.events.rollout import RolloutPhase, WorkloadRemoved
from libs.common.state.rollout import RolloutState
from services.reconciler.plan import Because, Plan
from tests.unit.reconciler.scene import observed, plan, progressed, settled, view

RETIRING = RolloutPhase.RETIRING


class TestDeleting:
    def test_a_deployment_that_never_ran_is_removed_at_once(self) -> None:
        assert plan(view(is_deleted=True), None) == Plan(
            100, because=(Because.DEPLOYMENT_DELETED,), is_removal=True, facts=(WorkloadRemoved(),)
        )

    def test_it_is_removed_when_its_last_replica_is_gone(self) -> None:
        rollout = replace(settled("a", 1, retiring=["a1"]), progress=progressed("a", RETIRING, 0, 0, 1))
        gone = view(rollout=rollout, is_deleted=True, withdrawn=["a1"])
        assert plan(gone, observed([])) == Plan(
            100, because=(Because.DEPLOYMENT_DELETED,), is_removal=True, facts=(WorkloadRemoved(),)
        )

    def test_it_waits_for_the_roster(self) -> None:
        rollout = replace(settled("a", 1, retiring=["a1"]), progress=progressed("a", RETIRING, 0, 0, 1))
        assert plan(view(rollout=rollout, roster=["a1"], is_deleted=True), observed([])).is_empty

    def test_once_removed_there_is_nothing_to_do(self) -> None:
        assert plan(view(rollout=RolloutState(is_removed=True), is_deleted=True), None).is_empty

    def test_what_a_late_old_plan_brought_back_is_removed(self) -> None:
        removed = view(rollout=RolloutState(is_removed=True), is_deleted=True)
        assert plan(removed, observed(["a1"])) == Plan(
            100, because=(Because.OLDER_PLAN_CAME_LATE,), is_removal=True
        )
