"""Each row of the table of `plan`."""

from dataclasses import replace

import pytest

from libs.common.cluster.port import ReplicaPhase, RunWorkload, Workload
from libs.common.events.replica import ReplicaState
from libs.common.events.rollout import (
    LiveRun,
    ReplicasRetiring,
    RetireReason,
    RolloutPhase,
    SpecApplied,
    SpecHealthy,
)
from libs.common.spec.template import make_template
from libs.common.state.deployment import DeploymentState
from libs.common.state.rollout import RolloutState
from libs.common.state.view import DeploymentView
from services.reconciler.plan import Because, Plan, Restart
from tests.unit.reconciler.scene import (
    DEPLOYMENT,
    PROJECT,
    TRACE,
    listed,
    observed,
    plan,
    progressed,
    run_of,
    runs,
    settled,
    shown,
    spec,
    view,
)


def asked(letter: str, replicas: int) -> RunWorkload:
    return RunWorkload(run_of(letter), f"spec-{letter}", make_template(spec(letter)), replicas)


def workload(
    *asks: RunWorkload, retiring: set[str] | None = None, stopping: set[str] | None = None
) -> Workload:
    return Workload(
        PROJECT,
        DEPLOYMENT,
        asks,
        retiring=frozenset(retiring or ()),
        stopping=frozenset(stopping or ()),
        traceparent=TRACE,
    )


def applied(letter: str, *also: str) -> SpecApplied:
    return SpecApplied(spec_id=f"spec-{letter}", run_id=run_of(letter), runs=runs(letter, *also))


def healthy(letter: str, replicas: int) -> SpecHealthy:
    return SpecHealthy(spec_id=f"spec-{letter}", run_id=run_of(letter), replicas=replicas)


def leave(reason: RetireReason, *ids: str) -> ReplicasRetiring:
    return ReplicasRetiring(replica_ids=ids, reason=reason)


WAITING, RETIRING = RolloutPhase.WAITING_FOR_READY, RolloutPhase.RETIRING
COMPLETE, STOPPED = RolloutPhase.COMPLETE, RolloutPhase.STOPPED


class TestEndedByOthers:
    def test_one_that_ends_though_nobody_told_it_is_replaced_at_once(self) -> None:
        ending = observed(["a1", shown("a2", phase=ReplicaPhase.STOPPING)])
        step = plan(view(rollout=settled("a", 2), roster=["a1", "a2"]), ending)
        assert step.because == (Because.REPLICAS_ARE_MISSING,)
        assert step.workload == workload(asked("a", 2))


class TestNothingToDo:
    def test_a_deployment_without_a_spec(self) -> None:
        bare = DeploymentView(PROJECT, DEPLOYMENT, sequence=3)
        assert plan(bare, None) == Plan(3)
        created = replace(bare, deployment=DeploymentState(PROJECT, DEPLOYMENT, is_created=True))
        assert plan(created, None) == Plan(3)

    def test_a_converged_deployment(self) -> None:
        assert plan(view(rollout=settled("a", 2), roster=["a1", "a2"]), observed(["a1", "a2"])).is_empty

    def test_a_stopped_deployment(self) -> None:
        stopped = RolloutState(applied_spec_id="spec-a", progress=progressed("a", STOPPED, 0, 0))
        assert plan(view(spec(enabled=False), rollout=stopped), observed([])).is_empty

    def test_while_the_router_has_not_withdrawn(self) -> None:
        leaving = replace(
            settled("a", 1, retiring=["a2"]), progress=progressed("a", RETIRING, 1, 1, leaving=1)
        )
        here = observed(["a1", "a2"])
        assert plan(view(spec(replicas=1), rollout=leaving, roster=["a1", "a2"]), here).is_empty


class TestApplying:
    def test_a_first_spec(self) -> None:
        assert plan(view(), None) == Plan(
            100,
            because=(Because.SPEC_IS_NEW, Because.REPLICAS_ARE_MISSING),
            workload=workload(asked("a", 2)),
            facts=(applied("a"), progressed("a", WAITING, 2, 0)),
        )

    def test_a_first_spec_that_is_disabled_counts_as_applied(self) -> None:
        assert plan(view(spec(enabled=False)), None) == Plan(
            100,
            because=(Because.SPEC_IS_NEW,),
            workload=workload(),
            facts=(
                SpecApplied(spec_id="spec-a", run_id=run_of("a"), runs=()),
                progressed("a", STOPPED, 0, 0),
            ),
        )

    def test_an_update_keeps_the_old_run_at_what_it_has(self) -> None:
        step = plan(view(spec("b"), rollout=settled("a", 2), roster=["a1", "a2"]), observed(["a1", "a2"]))
        assert step == Plan(
            100,
            because=(Because.SPEC_IS_NEW, Because.REPLICAS_ARE_MISSING),
            workload=workload(asked("b", 2), asked("a", 2)),
            facts=(applied("b", "a"), progressed("b", WAITING, 2, 0, leaving=2)),
        )

    def test_an_old_run_is_not_replenished(self) -> None:
        step = plan(view(spec("b"), rollout=settled("a", 2), roster=["a1"]), observed(["a1"]))
        assert step.workload == workload(asked("b", 2), asked("a", 1))

    def test_a_replica_that_is_gone_is_made_anew(self) -> None:
        step = plan(view(rollout=settled("a", 2), roster=["a1", "a2"]), observed(["a1"]))
        assert step.workload == workload(asked("a", 2))
        assert step.facts == (progressed("a", WAITING, 2, 1),)

    def test_a_crashed_replica_is_the_clusters_business(self) -> None:
        here = observed(["a1", shown("a2", phase=ReplicaPhase.EXITED)])
        step = plan(view(rollout=settled("a", 2), roster=["a1", "a2"]), here)
        assert step == Plan(100, facts=(progressed("a", WAITING, 2, 1),))

    def test_a_change_of_name_only_keeps_every_replica_and_is_healthy_at_once(self) -> None:
        renamed = view(spec(name="other"), spec_id="spec-2", rollout=settled("a", 2), roster=["a1", "a2"])
        newest = LiveRun(run_id=run_of("a"), spec_id="spec-2")
        assert plan(renamed, observed(["a1", "a2"])) == Plan(
            100,
            because=(Because.SPEC_IS_NEW,),
            workload=workload(replace(asked("a", 2), spec_id="spec-2")),
            facts=(
                SpecApplied(spec_id="spec-2", run_id=run_of("a"), runs=(newest,)),
                SpecHealthy(spec_id="spec-2", run_id=run_of("a"), replicas=2),
                progressed("a", COMPLETE, 2, 2).model_copy(update={"spec_id": "spec-2"}),
            ),
        )

    def test_more_replicas_are_healthy_only_when_all_are_ready(self) -> None:
        more = view(spec(replicas=3), spec_id="spec-2", rollout=settled("a", 2), roster=["a1", "a2"])
        step = plan(more, observed(["a1", "a2"]))
        assert [fact.event_type() for fact in step.facts] == ["SpecApplied", "RolloutProgressed"]

    def test_scaling_up_again_never_counts_a_retiring_replica(self) -> None:
        rollout = replace(settled("a", 2, retiring=["a2"]), applied_spec_id="spec-before")
        step = plan(view(rollout=rollout, roster=["a1", "a2"]), observed(["a1", "a2"]))
        assert step.workload == workload(asked("a", 2), retiring={"a2"})
        assert progressed("a", WAITING, 2, 1, leaving=1) in step.facts

    def test_a_rollback_to_a_run_that_still_lives_restarts_nothing(self) -> None:
        rollout = replace(settled("b", 2, "a"), progress=progressed("b", WAITING, 2, 0, leaving=2))
        back = view(
            spec("a"),
            spec_id="spec-3",
            rollout=rollout,
            roster=["a1", "a2", listed("b1", state=ReplicaState.STARTING)],
        )
        step = plan(back, observed(["a1", "a2", "b1"]))
        newest = LiveRun(run_id=run_of("a"), spec_id="spec-3")
        assert step == Plan(
            100,
            because=(Because.SPEC_IS_NEW,),
            workload=workload(replace(asked("a", 2), spec_id="spec-3"), asked("b", 1)),
            facts=(
                SpecApplied(spec_id="spec-3", run_id=run_of("a"), runs=(newest, *runs("b"))),
                SpecHealthy(spec_id="spec-3", run_id=run_of("a"), replicas=2),
                leave(RetireReason.SUPERSEDED, "b1"),
                progressed("a", RETIRING, 2, 2, leaving=1).model_copy(update={"spec_id": "spec-3"}),
            ),
        )


class TestRetiring:
    def test_the_old_run_leaves_when_the_new_one_has_enough(self) -> None:
        rollout = RolloutState(
            applied_spec_id="spec-b",
            healthy_spec_id="spec-a",
            runs=runs("b", "a"),
            progress=progressed("b", WAITING, 1, 0, leaving=2),
        )
        step = plan(
            view(spec("b", 1), rollout=rollout, roster=["a1", "a2", "b1"]), observed(["a1", "a2", "b1"])
        )
        assert step == Plan(
            100,
            facts=(
                healthy("b", 1),
                leave(RetireReason.SUPERSEDED, "a1", "a2"),
                progressed("b", RETIRING, 1, 1, leaving=2),
            ),
        )
        assert step.retires

    def test_all_that_are_to_leave_are_named_also_those_told_before(self) -> None:
        rollout = settled("a", 1, retiring=["a3", "a9"])
        step = plan(
            view(spec(replicas=1), rollout=rollout, roster=["a1", "a2", "a3"]), observed(["a1", "a2"])
        )
        assert leave(RetireReason.SCALED_DOWN, "a2", "a3") in step.facts

    @pytest.mark.parametrize(
        ("wanted", "is_deleted", "reason"),
        [
            pytest.param(spec(enabled=False), False, RetireReason.DISABLED, id="disabled"),
            pytest.param(spec(replicas=0), False, RetireReason.SCALED_DOWN, id="scaled to nothing"),
            pytest.param(spec(), True, RetireReason.DELETED, id="deleted"),
        ],
    )
    def test_a_stop_says_why(self, wanted, is_deleted, reason) -> None:
        stopped = view(wanted, rollout=settled("a", 2), roster=["a1", "a2"], is_deleted=is_deleted)
        step = plan(stopped, observed(["a1", "a2"]))
        assert step == Plan(
            100, facts=(leave(reason, "a1", "a2"), progressed("a", RETIRING, 0, 2, leaving=2))
        )

    def test_what_the_router_withdrew_is_stopped(self) -> None:
        rollout = replace(
            settled("b", 1, "a", retiring=["a1", "a2"]), progress=progressed("b", RETIRING, 1, 1, leaving=2)
        )
        step = plan(
            view(spec("b", 1), rollout=rollout, roster=["a1", "a2", "b1"], withdrawn=["a1", "b1"]),
            observed(["a1", "a2", "b1"]),
        )
        assert step == Plan(
            100,
            because=(Because.REPLICAS_ARE_WITHDRAWN,),
            workload=workload(asked("b", 1), retiring={"a1", "a2"}, stopping={"a1"}),
        )

    def test_a_replica_that_is_ending_is_not_told_twice(self) -> None:
        rollout = replace(
            settled("a", 1, retiring=["a2"]), progress=progressed("a", RETIRING, 1, 1, leaving=1)
        )
        here = observed(["a1", shown("a2", phase=ReplicaPhase.STOPPING)])
        leaving = view(spec(replicas=1), rollout=rollout, roster=["a1", "a2"], withdrawn=["a2"])
        assert plan(leaving, here).is_empty

    def test_one_that_only_the_cluster_knows_goes_the_same_way(self) -> None:
        rollout = replace(
            settled("b", 1, "a", retiring=["a1"]), progress=progressed("b", RETIRING, 1, 1, leaving=1)
        )
        step = plan(
            view(spec("b", 1), rollout=rollout, roster=["b1"], withdrawn=["a1"]), observed(["a1", "b1"])
        )
        assert step.workload == workload(asked("b", 1), retiring={"a1"}, stopping={"a1"})

    def test_the_rollout_is_complete_when_the_last_one_is_gone(self) -> None:
        rollout = replace(
            settled("b", 1, "a", retiring=["a1"]), progress=progressed("b", RETIRING, 1, 1, leaving=1)
        )
        step = plan(view(spec("b", 1), rollout=rollout, roster=["b1"], withdrawn=["a1"]), observed(["b1"]))
        assert step == Plan(100, facts=(applied("b"), progressed("b", COMPLETE, 1, 1)))

    def test_a_stopped_deployment_holds_no_run(self) -> None:
        rollout = replace(settled("a", 2, retiring=["a1"]), progress=progressed("a", RETIRING, 0, 0, 1))
        step = plan(view(spec(enabled=False), rollout=rollout), observed([]))
        assert step == Plan(
            100,
            facts=(
                SpecApplied(spec_id="spec-a", run_id=run_of("a"), runs=()),
                progressed("a", STOPPED, 0, 0),
            ),
        )


class TestRestarting:
    @pytest.mark.parametrize(
        ("line", "replica", "restarts"),
        [
            pytest.param(
                listed("a1", condemned=0), shown("a1"), (Restart("a1", 0),), id="the condemned process runs"
            ),
            pytest.param(listed("a1", condemned=0), shown("a1", attempt=1), (), id="it runs again already"),
            pytest.param(
                listed("a1", condemned=0),
                shown("a1", phase=ReplicaPhase.EXITED),
                (),
                id="it has ended and waits for its restart",
            ),
            pytest.param(listed("a1"), shown("a1"), (), id="nobody condemned it"),
        ],
    )
    def test_exactly_the_condemned_process_is_ended(self, line, replica, restarts) -> None:
        line = line.model_copy(update={"state": ReplicaState.UNREADY})
        step = plan(view(spec(replicas=1), rollout=settled("a", 1), roster=[line]), observed([replica]))
        assert step.restarts == restarts

    def test_one_that_leaves_is_not_restarted(self) -> None:
        step = plan(
            view(rollout=settled("a", 2, retiring=["a1"]), roster=[listed("a1", condemned=0)]),
            observed(["a1"]),
        )
        assert step.restarts == ()


class TestFailing:
    FAILED = replace(settled("a", 2), failed_spec_id="spec-b")

    def test_the_old_run_serves_on(self) -> None:
        step = plan(view(spec("b"), rollout=self.FAILED, roster=["a1", "a2"]), observed(["a1", "a2"]))
        assert step == Plan(100, facts=(progressed("b", WAITING, 2, 0, leaving=2),))

    def test_an_old_run_that_still_starts_is_left_alone(self) -> None:
        roster = [listed("a1", state=ReplicaState.STARTING)]
        step = plan(view(spec("b"), rollout=self.FAILED, roster=roster), observed(["a1"]))
        assert step.workload is None
        assert not step.retires

    def test_what_was_leaving_still_leaves(self) -> None:
        rollout = replace(
            self.FAILED,
            retiring=frozenset({"a2"}),
            progress=progressed("b", WAITING, 2, 0, leaving=2),
        )
        step = plan(
            view(spec("b"), rollout=rollout, roster=["a1", "a2"], withdrawn=["a2"]), observed(["a1", "a2"])
        )
        assert step == Plan(
            100,
            because=(Because.REPLICAS_ARE_WITHDRAWN,),
            workload=workload(asked("a", 1), retiring={"a2"}, stopping={"a2"}),
        )

    def test_the_next_spec_gets_its_chance(self) -> None:
        step = plan(view(spec("c"), rollout=self.FAILED, roster=["a1", "a2"]), observed(["a1", "a2"]))
        assert step.workload == workload(asked("c", 2), asked("a", 2))

    def test_a_deletion_removes_what_failed(self) -> None:
        step = plan(view(spec("b"), rollout=self.FAILED, roster=["a1"], is_deleted=True), observed(["a1"]))
        assert leave(RetireReason.DELETED, "a1") in step.facts
