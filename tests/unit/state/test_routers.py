"""Which routers there are, and what each of them has withdrawn."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.envelope import Recorded
from libs.common.events.router import LeaveReason, RouterFact, RouterJoined, RouterLeft, RouterNamed
from libs.common.events.traffic import EndpointsWithdrawn, WithdrawReason
from libs.common.log import wire
from libs.common.state import traffic
from libs.common.state.aggregates import followed_by
from libs.common.state.router import (
    ALONE,
    EVERY_ROUTER,
    aggregate_of,
    joined,
    joined_by,
    state_of,
    states_by,
)
from libs.common.state.traffic import TrafficState
from libs.common.state.view import Views
from tests.support.strategies import ROUTERS, newest_of_each_subject, recorded

DEPLOYMENT = "d" * 32
REPLICAS = ("r1", "r2", "r3")


def word(sequence: int, router: str, *replica_ids: str) -> Recorded:
    fact = EndpointsWithdrawn(replica_ids=replica_ids, reason=WithdrawReason.IDLE, router=router)
    return recorded(fact, sequence, aggregate_id=DEPLOYMENT)


def fold(*events: Recorded) -> TrafficState:
    state = TrafficState()
    for event in events:
        state = traffic.evolve(state, event)
    return state


words = st.lists(st.tuples(st.sampled_from(ROUTERS), st.sets(st.sampled_from(REPLICAS))), max_size=10)


def told(said: list[tuple[str, set[str]]]) -> list[Recorded]:
    return [word(place, router, *sorted(replicas)) for place, (router, replicas) in enumerate(said, 1)]


@given(words, st.sets(st.sampled_from(ROUTERS)))
def test_a_replica_is_withdrawn_when_the_newest_word_of_each_router_has_it(said, routers):
    newest = dict(said)
    expected = {one for one in REPLICAS if routers and all(one in newest.get(r, ()) for r in routers)}
    assert fold(*told(said)).withdrawn_by_all(routers) == expected


@given(words)
def test_the_newest_event_of_each_subject_is_enough(said):
    assert fold(*newest_of_each_subject(told(said))) == fold(*told(said))


def test_the_first_routers_subject_is_the_one_of_events_without_a_name():
    assert word(1, "router").subject.endswith(".EndpointsWithdrawn")
    assert word(1, "router-2").subject.endswith(".EndpointsWithdrawn-2")


def stored(router: str | None, *, page: str, version: int = 2) -> Recorded:
    name = "" if router is None else f',"router":"{router}"'
    headers = {
        wire.TYPE: "EndpointsWithdrawn",
        wire.SUBJECT: DEPLOYMENT,
        wire.DATASCHEMA: f"urn:specstream:event:EndpointsWithdrawn:v{version}",
        wire.ID: "e",
        wire.HASH: "2:h",
    }
    time = recorded(None, 1, aggregate_id=DEPLOYMENT).time
    data = f'{{"replica_ids":["r1"],"reason":"idle"{name}}}'.encode()
    return wire.to_recorded(1, time, f"events.p.traffic.{DEPLOYMENT}.EndpointsWithdrawn{page}", headers, data)


def test_a_word_of_version_1_is_the_first_routers():
    assert fold(stored(None, page="", version=1)).withdrawn_by("router") == {"r1"}


def test_a_word_under_the_subject_of_another_router_is_none():
    assert fold(stored("router-2", page="-2")).withdrawn_by("router-2") == {"r1"}
    for router, page in (("router", "-2"), ("router-2", ""), ("router-2", "-3"), ("router-1", "-1")):
        event = stored(router, page=page)
        assert event.fact is None
        assert event.unknown


FACTS = (RouterJoined(), RouterLeft(reason=LeaveReason.TAKEN_OUT), RouterNamed())


def said(sequence: int, router: str, fact: RouterFact) -> Recorded:
    event = recorded(fact, sequence, aggregate_id=router)
    return replace(event, aggregate=aggregate_of(event.aggregate.id))


steps = st.lists(st.tuples(st.sampled_from(FACTS), st.sampled_from(ROUTERS[1:])), max_size=10)


@given(steps)
def test_there_are_the_first_one_and_those_that_joined_last(taken):
    events = [said(place, router, fact) for place, (fact, router) in enumerate(taken, 1)]
    newest = {router: fact for fact, router in taken}
    expected = ALONE | {router for router, fact in newest.items() if isinstance(fact, RouterJoined)}
    assert joined_by(events) == expected
    assert joined_by(newest_of_each_subject(events)) == expected
    views = Views(followed_by("reconciler"))
    for event in events:
        assert views.apply(event) is None
    assert joined(views.apart) == expected
    assert not views.by_id


@given(steps)
def test_those_may_join_that_were_not_taken_out_last(taken):
    events = [said(place, router, fact) for place, (fact, router) in enumerate(taken, 1)]
    newest = {router: fact for fact, router in taken}
    states = states_by(newest_of_each_subject(events))
    assert states == states_by(events)
    for router in ROUTERS:
        assert state_of(router, states).may_join == (not isinstance(newest.get(router), RouterLeft))


def test_what_is_selected_of_the_routers_are_their_events():
    assert EVERY_ROUTER == "events._team.router.*.*"
    assert said(1, "router-2", RouterJoined()).subject == "events._team.router.router-2.RouterJoined"
