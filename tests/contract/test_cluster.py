"""What every cluster does, whatever a replica is there."""

from datetime import timedelta

import pytest

from libs.common.clock import utc_now
from libs.common.cluster.port import ReplicaPhase
from libs.common.errors import CannotApply, Fenced
from libs.common.events.envelope import Position
from libs.common.events.rollout import SpecFailedReason
from tests.support.clusters import DEPLOYMENT, all_run, replicas, run_of, template, workload
from tests.support.log_lines import read_lines


def ids(shown):
    return [replica.replica_id for replica in shown]


async def started(world, number=1, *, fence=1, **kwargs):
    await world.cluster.apply(workload(run_of(number, **kwargs)), fence=fence)
    return await world.until(all_run(number))


async def test_a_new_workload_gets_its_replicas(world):
    before = utc_now() - timedelta(seconds=1)
    await world.cluster.apply(workload(run_of(2, of=template(ports=(8000, 9000)))), fence=7)
    shown = await world.until(all_run(2))

    observed = (await world.cluster.observe())[DEPLOYMENT]
    assert (observed.project_id, observed.deployment_id, observed.fence) == ("default", DEPLOYMENT, 7)
    for replica in shown:
        assert (replica.run_id, replica.spec_id, replica.attempt) == ("run", "spec", 0)
        assert set(replica.ports) == {8000, 9000}
        assert replica.address == f"{replica.host}:{replica.ports[8000]}"
        assert replica.template == template(ports=(8000, 9000))
        assert before < replica.created_at <= replica.started_at <= utc_now()
        assert replica.last_exit is replica.restart_at is replica.message is None
        assert (replica.ready is None) is not world.cluster.abilities.probes_natively
        assert replica.traceparent == "00-ab-cd-01"
        assert (replica.must_move, replica.failed_before) == (None, 0)
    assert len({(replica.host, port) for replica in shown for port in replica.ports.values()}) == 4
    if not world.cluster.abilities.shifts_ports:
        assert shown[0].ports == {8000: 8000, 9000: 9000}


async def test_the_same_plan_twice_changes_nothing(world):
    first = await started(world, 2)
    await world.cluster.apply(workload(run_of(2)), fence=1)
    assert await world.until(all_run(2)) == first


async def test_more_replicas_leave_the_present_ones_as_they_are(world):
    first = await started(world, 1)
    second = await started(world, 3, fence=2)
    assert second[:1] == first


async def test_fewer_replicas_stop_none_by_themselves(world):
    first = await started(world, 3)
    await world.cluster.apply(workload(run_of(1)), fence=2)
    assert await world.until(all_run(3)) == first


async def test_a_run_that_is_not_named_goes_on(world):
    first = await started(world, 1)
    await world.cluster.apply(workload(run_of(1, run_id="new", spec_id="new")), fence=2)
    second = await world.until(all_run(2))
    assert second[:1] == first
    assert (second[1].run_id, second[1].spec_id) == ("new", "new")


async def test_retiring_replicas_go_on_and_do_not_count(world):
    first = await started(world, 2)
    retiring = ids(first)[:1]
    await world.cluster.apply(workload(run_of(2), retiring=retiring), fence=2)
    second = await world.until(all_run(3))
    assert second[:2] == first


async def test_stopping_replicas_end_and_are_not_replaced(world):
    first = await started(world, 2)
    leaving, staying = ids(first)
    await world.cluster.apply(workload(run_of(1), retiring=[leaving], stopping=[leaving]), fence=2)
    present = {replica.replica_id: replica.phase for replica in await replicas(world.cluster)}
    assert present.get(leaving, ReplicaPhase.STOPPING) is ReplicaPhase.STOPPING
    assert ids(await world.until(all_run(1))) == [staying]


async def test_with_every_replica_stopped_the_workload_is_still_there(world):
    leaving = ids(await started(world, 1))
    await world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await world.until(lambda shown: not shown)
    assert (await world.cluster.observe())[DEPLOYMENT].fence == 2


async def test_a_replica_keeps_the_spec_that_it_was_created_for(world):
    await started(world, 1, spec_id="first")
    await world.cluster.apply(workload(run_of(2, spec_id="second")), fence=2)
    assert [replica.spec_id for replica in await world.until(all_run(2))] == ["first", "second"]


async def test_an_older_plan_is_fenced_and_changes_nothing(world):
    first = await started(world, 1, fence=5)
    with pytest.raises(Fenced):
        await world.cluster.apply(workload(run_of(3)), fence=4)
    with pytest.raises(Fenced):
        await world.cluster.remove(DEPLOYMENT, fence=4)
    assert await world.until(all_run(1)) == first


async def test_a_plan_of_another_log_is_refused_and_names_what_refused_it(world):
    recorded = Position(5, "one", "h5")
    first = await started(world, 1, fence=recorded)
    for fence in (Position(4, "another", "x"), Position(6, "another", "x")):
        with pytest.raises(Fenced) as fenced:
            await world.cluster.apply(workload(run_of(3)), fence=fence)
        assert fenced.value.by == recorded
        with pytest.raises(Fenced):
            await world.cluster.remove(DEPLOYMENT, fence=fence)
    assert await world.until(all_run(1)) == first
    await started(world, 2, fence=Position(6, "one", "h6"))


async def test_a_record_without_a_log_is_followed_by_its_sequence(world):
    await started(world, 1, fence=5)
    with pytest.raises(Fenced) as fenced:
        await world.cluster.apply(workload(run_of(3)), fence=Position(4, "one", "h4"))
    assert fenced.value.by == Position(5)
    await started(world, 2, fence=Position(5, "one", "h5"))
    assert (await world.cluster.observe())[DEPLOYMENT].fence == 5


@pytest.mark.parametrize("recorded", [Position(50), Position(50, "one", "h50"), Position(3, "another", "h")])
async def test_what_refuses_can_be_taken_over_from_once(world, recorded):
    first = await started(world, 1, fence=recorded)
    plan, late = Position(4, "one", "h4"), Position(2, "one", "h2")
    await world.cluster.take_over(DEPLOYMENT, recorded=Position(49, "one", "h49"), fence=plan)
    with pytest.raises(Fenced):
        await world.cluster.apply(workload(run_of(2)), fence=plan)
    await world.cluster.take_over(DEPLOYMENT, recorded=recorded, fence=plan)
    await world.cluster.take_over(DEPLOYMENT, recorded=recorded, fence=late)
    with pytest.raises(Fenced) as fenced:
        await world.cluster.apply(workload(run_of(3)), fence=late)
    assert fenced.value.by == plan
    second = await started(world, 2, fence=plan)
    assert second[:1] == first


async def test_a_removal_can_be_taken_over_from(world):
    await started(world, 1, fence=3)
    removal = Position(50, "one", "h50")
    await world.cluster.remove(DEPLOYMENT, fence=removal)
    await world.until_gone()
    plan = Position(4, "one", "h4")
    with pytest.raises(Fenced) as fenced:
        await world.cluster.apply(workload(run_of(1)), fence=plan)
    assert fenced.value.by == removal
    await world.cluster.take_over(DEPLOYMENT, recorded=removal, fence=plan)
    await started(world, 1, fence=plan)
    assert (await world.cluster.observe())[DEPLOYMENT].fence == 4


async def test_a_template_without_a_command_needs_a_cluster_that_runs_images(world):
    without = template().model_copy(update={"command": None})
    if world.cluster.abilities.runs_images:
        await started(world, of=without)
        return
    with pytest.raises(CannotApply, match=r"needs a container runtime.*set `command`") as refused:
        await world.cluster.apply(workload(run_of(1, of=without)), fence=1)
    assert refused.value.reason == SpecFailedReason.NO_COMMAND
    assert await world.cluster.observe() == {}


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        pytest.param({"status": 3}, "exited with status 3", id="by itself"),
        pytest.param({"signal": 9}, "ended by signal 9", id="by a signal"),
    ],
)
async def test_a_replica_that_ends_unasked_is_started_again(world, ending, said):
    (first,) = await started(world)
    await world.exit(first.replica_id, **ending)
    (again,) = await world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    assert again.last_exit.message == said
    assert (again.replica_id, again.ports, again.created_at) == (
        first.replica_id,
        first.ports,
        first.created_at,
    )
    assert again.started_at >= again.last_exit.at >= first.started_at


async def test_one_that_ends_again_waits_ten_seconds(world):
    (first,) = await started(world)
    await world.exit(first.replica_id, status=1)
    await world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    await world.exit(first.replica_id, status=2)
    (waiting,) = await world.until(lambda shown: shown[0].phase is ReplicaPhase.EXITED)
    assert waiting.attempt == 1
    assert waiting.last_exit.status == 2
    assert waiting.restart_at - waiting.last_exit.at == timedelta(seconds=10)


async def test_a_waiting_replica_can_be_stopped(world):
    (first,) = await started(world)
    await world.exit(first.replica_id, status=1)
    await world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    await world.exit(first.replica_id, status=1)
    await world.until(lambda shown: shown[0].phase is ReplicaPhase.EXITED)
    leaving = [first.replica_id]
    await world.cluster.apply(workload(retiring=leaving, stopping=leaving), fence=2)
    await world.until(lambda shown: not shown)


async def test_a_condemned_attempt_is_ended_and_started_again(world):
    (first,) = await started(world)
    if not world.cluster.abilities.restarts:
        with pytest.raises(CannotApply, match="carries out the checks and ends whom they condemn"):
            await world.cluster.restart(DEPLOYMENT, first.replica_id, attempt=0)
        return
    await world.cluster.restart(DEPLOYMENT, first.replica_id, attempt=0)
    (again,) = await world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)
    assert again.last_exit.message == "ended by signal 15"


async def test_another_attempt_is_not_condemned(world):
    first = await started(world)
    if not world.cluster.abilities.restarts:
        pytest.skip("this cluster ends no process by itself")
    await world.cluster.restart(DEPLOYMENT, first[0].replica_id, attempt=1)
    await world.cluster.restart(DEPLOYMENT, "no-such-replica", attempt=0)
    await world.cluster.restart("no-such-deployment", first[0].replica_id, attempt=0)
    assert await world.until(all_run(1)) == first
    await world.exit(first[0].replica_id, status=1)
    await world.until(lambda shown: all_run(1)(shown) and shown[0].attempt == 1)


async def test_a_removed_deployment_ends_and_is_forgotten(world):
    shown = await started(world, 2)
    if world.cluster.abilities.keeps_last_words:
        for replica in shown:
            await world.write(replica.replica_id, "last words")
    await world.cluster.remove(DEPLOYMENT, fence=2)
    assert all(replica.phase is ReplicaPhase.STOPPING for replica in await replicas(world.cluster))
    await world.until_gone()
    assert await read_lines(world.cluster, DEPLOYMENT) == []


async def test_a_removed_deployment_refuses_older_plans_and_takes_newer_ones(world):
    await started(world, 1, fence=3)
    await world.cluster.remove(DEPLOYMENT, fence=9)
    await world.until_gone()
    with pytest.raises(Fenced):
        await world.cluster.apply(workload(run_of(1)), fence=8)
    assert await world.cluster.observe() == {}
    await started(world, 1, fence=10)


async def test_removing_what_never_was_refuses_older_plans_too(world):
    await world.cluster.remove(DEPLOYMENT, fence=9)
    with pytest.raises(Fenced):
        await world.cluster.apply(workload(run_of(1)), fence=8)
    assert await world.cluster.observe() == {}


async def test_being_sure_of_what_is_shown_changes_nothing(world):
    first = await started(world, 2)
    seen = (await world.cluster.observe(DEPLOYMENT))[DEPLOYMENT]
    assert not await world.cluster.confirm(DEPLOYMENT, [*ids(first), "nobody"], seen)
    assert not await world.cluster.confirm(DEPLOYMENT, ids(first)[:1], seen)
    assert not await world.cluster.confirm("e" * 32, ["nobody"], None)
    assert await replicas(world.cluster) == first


async def test_one_deployment_can_be_observed_by_itself(world):
    await started(world)
    await world.cluster.apply(workload(run_of(0), deployment_id="other"), fence=1)
    assert set(await world.cluster.observe()) == {DEPLOYMENT, "other"}
    assert set(await world.cluster.observe("other")) == {"other"}
    assert await world.cluster.observe("none") == {}
