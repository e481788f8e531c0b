"""A replica is stopped when every router that has joined has withdrawn it, and never before (promise 3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.envelope import Recorded
from libs.common.events.rollout import ReplicasRetiring, RetireReason, RolloutPhase
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.state.router import ALONE
from libs.common.state.view import evolve
from services.reconciler.plan import Because
from tests.support.strategies import ROUTERS, recorded
from tests.unit.reconciler.scene import DEPLOYMENT, observed, plan, progressed, settled, spec, view
from tests.unit.reconciler.stage import Stage

REPLICAS = ("a1", "a2", "a3")


def word(sequence: int, router: str, replica_ids: frozenset[str]) -> Recorded:
    fact = EndpointsWithdrawn(
        replica_ids=tuple(sorted(replica_ids)), reason=WithdrawReason.IDLE, router=router
    )
    return recorded(fact, sequence, aggregate_id=DEPLOYMENT)


@given(
    routers=st.sets(st.sampled_from(ROUTERS[1:])).map(lambda further: ALONE | further),
    words=st.lists(
        st.tuples(st.sampled_from(ROUTERS), st.frozensets(st.sampled_from(REPLICAS))), max_size=12
    ),
    retiring=st.frozensets(st.sampled_from(REPLICAS), min_size=1),
)
def test_whatever_order_words_come_in_only_what_each_router_has_withdrawn_is_stopped(
    routers, words, retiring
):
    """Words add up, as a router's own do while a replica exists."""
    now = view(
        spec("a", len(REPLICAS) - len(retiring)),
        rollout=settled("a", len(REPLICAS) - len(retiring), retiring=retiring),
        roster=REPLICAS,
    )
    said: dict[str, frozenset[str]] = {}
    for sequence, (router, replica_ids) in enumerate(words, 101):
        said[router] = said.get(router, frozenset()) | replica_ids
        now = evolve(now, word(sequence, router, said[router]))
        step = plan(now, observed(REPLICAS), routers=frozenset(routers))
        free = {one for one in retiring if all(one in said.get(name, ()) for name in routers)}
        assert (step.workload.stopping if step.workload else frozenset()) == free
        assert (Because.REPLICAS_ARE_WITHDRAWN in step.because) == bool(free)


@pytest.mark.parametrize("roster", [["b1"], ["b1", "a1"]], ids=["not listed", "listed"])
def test_one_that_is_there_again_is_said_to_be_leaving(roster):
    """A router takes it from a complete rollout that nobody is left of those told to leave."""
    again = view(spec("b", 1), rollout=settled("b", 1, "a", retiring=["a1"]), roster=roster)
    facts = plan(again, observed(["b1", "a1"])).facts
    assert facts == (progressed("b", RolloutPhase.RETIRING, 1, 1, leaving=1),)


@pytest.fixture
async def stage(stage: Stage) -> Stage:
    await stage.run("a", 2)
    return stage


async def stopping(stage: Stage) -> set[str]:
    await stage.processes[0].reconciler.resync(DEPLOYMENT)
    return {replica.replica_id for replica in await stage.observed() if replica.phase == "stopping"}


async def one_retires(stage: Stage) -> str:
    await stage.register(spec("a", 1))
    await stage.processes[0].reconciler.resync(DEPLOYMENT)
    current = await stage.view()
    assert current is not None
    (leaving,) = current.rollout.retiring
    return leaving


async def test_it_waits_for_the_one_that_has_joined(stage: Stage) -> None:
    await stage.join("router-2")
    leaving = await one_retires(stage)
    await stage.router("router")
    assert await stopping(stage) == set()
    await stage.router("router-2")
    assert await stopping(stage) == {leaving}


async def test_the_word_of_one_that_has_not_joined_is_not_enough(stage: Stage) -> None:
    leaving = await one_retires(stage)
    await stage.router("router-2")
    assert await stopping(stage) == set()
    await stage.router("router")
    assert await stopping(stage) == {leaving}


async def test_it_waits_no_more_for_one_that_has_left(stage: Stage) -> None:
    await stage.join("router-2")
    leaving = await one_retires(stage)
    await stage.router("router")
    assert await stopping(stage) == set()
    await stage.leave("router-2")
    assert await stopping(stage) == {leaving}


async def test_one_that_joins_late_does_not_call_back_what_was_told_to_end(stage: Stage) -> None:
    leaving = await one_retires(stage)
    await stage.router("router")
    assert await stopping(stage) == {leaving}
    await stage.join("router-2")
    assert await stopping(stage) == {leaving}
    await stage.settle()
    assert len(await stage.observed()) == 1


async def test_retirements_are_told_once(stage: Stage) -> None:
    await stage.join("router-2")
    await one_retires(stage)
    await stage.router("router")
    await stage.settle()
    told = [event.fact for event in await stage.events() if isinstance(event.fact, ReplicasRetiring)]
    assert [fact.reason for fact in told] == [RetireReason.SCALED_DOWN]
