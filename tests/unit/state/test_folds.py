"""The laws that every fold must keep (promise 10)."""

from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.catalogue import CATALOGUE
from libs.common.events.envelope import Recorded
from libs.common.state import view
from libs.common.state.aggregates import AGGREGATES
from tests.support.golden_facts import GOLDEN
from tests.support.strategies import facts, histories, newest_of_each_subject, recorded

FOLDS: dict[str, tuple[Any, Any]] = {
    **{kind.name: (kind.evolve, kind.start) for kind in AGGREGATES},
    "view": (view.evolve, None),
}
ALL_FOLDS = pytest.mark.parametrize(("evolve", "start"), FOLDS.values(), ids=FOLDS.keys())
DEPLOYMENT, OTHER = "a" * 32, "b" * 32


def fold(evolve: Any, start: Any, events: list[Recorded]) -> Any:
    return reduce(evolve, events, start)


@ALL_FOLDS
@given(events=histories())
def test_the_newest_of_each_subject_gives_the_same_state_as_all(evolve, start, events):
    assert fold(evolve, start, newest_of_each_subject(events)) == fold(evolve, start, events)


@ALL_FOLDS
@given(events=histories(), count=st.integers(0, 20))
def test_folding_can_stop_and_go_on(evolve, start, events, count):
    halfway = fold(evolve, start, events[:count])
    assert fold(evolve, halfway, events[count:]) == fold(evolve, start, events)


@ALL_FOLDS
@given(fact=facts(), events=histories(max_size=5))
def test_evolve_never_fails_and_an_event_twice_is_an_event_once(evolve, start, fact, events):
    event = recorded(fact, 1000, aggregate_id=DEPLOYMENT)
    once = evolve(fold(evolve, start, events), event)
    assert evolve(once, event) == once


@ALL_FOLDS
@pytest.mark.parametrize("event_type", CATALOGUE)
def test_evolve_knows_or_ignores_every_type_from_the_very_start(evolve, start, event_type):
    event = recorded(GOLDEN[event_type], 1, aggregate_id=DEPLOYMENT)
    assert evolve(start, event) is not None


@ALL_FOLDS
@given(events=histories())
def test_an_event_of_an_unknown_type_changes_nothing_that_is_known(evolve, start, events):
    before = fold(evolve, start, [recorded(None, 0, aggregate_id=DEPLOYMENT), *events])
    after = evolve(before, recorded(None, 1000, aggregate_id=DEPLOYMENT))
    if isinstance(before, view.DeploymentView):
        after = replace(after, sequence=before.sequence, last=before.last)
    assert after == before


def legal(events: list[Recorded]) -> list[Recorded]:
    """The history with what services never write left out: nothing of a deployment follows its deletion,
    and its removal comes after that and ends its rollout."""
    deleted: set[str] = set()
    removed: set[str] = set()
    kept = []
    for event in events:
        key = event.aggregate.id
        if event.aggregate.kind == "deployment" and key in deleted:
            continue
        if event.aggregate.kind == "rollout" and key in removed:
            continue
        if event.type == "WorkloadRemoved":
            if key not in deleted:
                continue
            removed.add(key)
        if event.type == "DeploymentDeleted":
            deleted.add(key)
        kept.append(event)
    return kept


VIEW_FACTS = [fact.event_type() for kind in view.OF_DEPLOYMENTS for fact in kind.facts]


@given(events=histories(*VIEW_FACTS, aggregate_ids=(DEPLOYMENT, OTHER), max_size=30).map(legal))
def test_all_views_are_the_same_from_the_newest_of_each_subject(events):
    every, newest = view.Views(), view.Views()
    for event in events:
        every.apply(event)
    for event in newest_of_each_subject(events):
        newest.apply(event)
    assert newest.by_id == every.by_id
    assert newest.sequence == every.sequence
