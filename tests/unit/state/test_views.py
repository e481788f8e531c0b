"""Views fold whatever has an entry: also what is not named by a deployment's id."""

from dataclasses import dataclass, replace
from typing import ClassVar

from libs.common.events.envelope import Aggregate, Recorded
from libs.common.events.fact import Fact
from libs.common.state.aggregates import AggregateKind, followed_by
from libs.common.state.view import Views
from tests.support.golden_facts import GOLDEN
from tests.support.strategies import recorded

DEPLOYMENT, ENVIRONMENT = "a" * 32, "model-production"


class PromotionFact(Fact):
    aggregate: ClassVar[str] = "promotion"


class PromotionStarted(PromotionFact):
    weight: int


@dataclass(frozen=True)
class PromotionState:
    weight: int = 0


def evolve(state: PromotionState, event: Recorded) -> PromotionState:
    return replace(state, weight=event.fact.weight) if isinstance(event.fact, PromotionStarted) else state


PROMOTION = AggregateKind(
    PromotionFact,
    writer="router",
    state=PromotionState,
    evolve=evolve,
    start=PromotionState(),
    followers=frozenset({"router"}),
)
PROMOTED = Aggregate("default", "promotion", ENVIRONMENT)


def views() -> Views:
    return Views((*followed_by("router"), PROMOTION))


def started(sequence: int, weight: int) -> Recorded:
    return recorded(PromotionStarted(weight=weight), sequence, aggregate_id=ENVIRONMENT)


def test_its_events_are_followed():
    assert "events.*.promotion.*.*" in views().filters


def test_its_state_is_apart_from_the_deployments():
    every = views()
    view = every.apply(recorded(GOLDEN["DeploymentCreated"], 1, aggregate_id=DEPLOYMENT))
    assert view is every.by_id[DEPLOYMENT]
    assert every.apply(started(2, 10)) is None
    assert every.apply(started(3, 20)) is None
    assert every.apart == {PROMOTED: PromotionState(20)}
    assert set(every.by_id) == {DEPLOYMENT}
    assert every.sequence == 3


def test_what_was_set_aside_is_folded_anew():
    every = views()
    every.apply(started(1, 10))
    assert list(every.take_again([started(2, 30)])) == [(None, started(2, 30))]
    assert every.apart == {PROMOTED: PromotionState(30)}
    created = recorded(GOLDEN["DeploymentCreated"], 3, aggregate_id=DEPLOYMENT)
    of_nobody = recorded(GOLDEN["NameClaimed"], 4, aggregate_id=DEPLOYMENT)
    assert list(every.take_again([created, of_nobody])) == [(every.by_id[DEPLOYMENT], created)]
    assert every.by_id[DEPLOYMENT].sequence == 3


def test_nothing_is_left_after_a_clear():
    every = views()
    every.apply(started(1, 10))
    every.clear()
    assert (every.apart, every.by_id, every.sequence) == ({}, {}, 0)
