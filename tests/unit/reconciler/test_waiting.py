"""Who is waited for before replicas may end is said by name."""

from dataclasses import replace

from libs.common.state.router import ALONE
from libs.common.state.traffic import TrafficState
from libs.common.state.view import DeploymentView
from services.reconciler.waiting import waited_for
from tests.unit.reconciler.scene import settled, spec, view

BOTH = ALONE | {"router-2"}


def leaving(*retiring: str, **by_router: set[str]) -> DeploymentView:
    words = {name.replace("_", "-"): frozenset(some) for name, some in by_router.items()}
    found = view(spec("a", 1), rollout=settled("a", 1, retiring=retiring), roster=["a1", "a2", "a3"])
    return replace(found, traffic=TrafficState(words))


def test_the_one_whose_word_is_missing_is_named():
    assert waited_for([leaving("a1", router={"a1"})], BOTH) == [
        "1 replica waits for router-2 to withdraw it; others have"
    ]
    views = [leaving("a1", "a2", router={"a1", "a2"}), leaving("a1", router={"a1"})]
    assert waited_for(views, BOTH) == ["3 replicas wait for router-2 to withdraw them; others have"]
    assert waited_for([leaving("a1", router_2={"a1"})], BOTH) == [
        "1 replica waits for router to withdraw it; others have"
    ]


def test_nobody_is_named_where_all_have_said_it_or_none_has():
    assert waited_for([leaving("a1"), leaving("a1", router={"a1"}, router_2={"a1"})], BOTH) == []
    # Of one that is gone the word is not waited for any more.
    assert waited_for([leaving("gone", router={"gone"})], BOTH) == []
    assert waited_for([leaving("a1", router_2={"a1"})], ALONE) == []
