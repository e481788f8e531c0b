"""When so many nodes are silent that it says more of us than of them, and when one is given up."""

import asyncio
from dataclasses import replace

import pytest

from libs.common.cluster.kubernetes.places import BELIEVED_AFTER_S, Places
from libs.common.cluster.kubernetes.pods import parse
from libs.common.cluster.kubernetes.silence import GivenUp, Silence
from tests.support.polling import let_time_pass
from tests.support.swift_loop import SwiftLoop
from tests.unit.cluster.kubernetes.test_pods import RUNNING, condition, container, pod


def on(node, *, is_lost):
    answers = condition("Ready", "False" if is_lost else "True")
    return parse(pod(node=node, status=container(RUNNING, ready=True, **answers)))


@pytest.mark.parametrize(
    ("silent", "nodes", "is_general"),
    [(0, 0, False), (1, 1, False), (2, 2, False), (2, 3, False), (3, 3, True), (3, 5, True), (3, 6, False)],
)
def test_more_than_half_and_at_least_three(silent, nodes, is_general):
    silence = Silence()
    for number in range(nodes):
        silence.take(None, on(f"node-{number}", is_lost=number < silent))
    assert silence.is_general is is_general


def test_a_node_is_not_silent_while_one_of_its_pods_is_heard():
    silence = Silence()
    for number in range(3):
        silence.take(None, on(f"node-{number}", is_lost=True))
        silence.take(None, on(f"node-{number}", is_lost=False))
    assert not silence.is_general


def test_it_ends_when_they_answer_again_or_their_pods_are_gone():
    silence = Silence()
    lost = [on(f"node-{number}", is_lost=True) for number in range(3)]
    for one in lost:
        silence.take(None, one)
    silence.take(lost[0], on("node-0", is_lost=False))
    assert not silence.is_general
    silence.take(on("node-0", is_lost=False), lost[0])
    assert silence.is_general
    for one in lost:
        silence.take(one, None)
    assert not silence.is_general


def test_what_does_not_run_says_nothing_of_its_node():
    silence = Silence()
    for number in range(3):
        silence.take(None, parse(pod(node=f"node-{number}")))
        silence.take(None, parse(pod(node=None)))
    assert not silence.is_general


SINCE = {"node-1": 0.0, "node-2": 5.0, "node-3": 6.0}


def test_nodes_are_given_up_one_each_ten_seconds():
    given_up = GivenUp(60)
    assert given_up.at(59, SINCE, held=False) == set()
    assert given_up.at(61, SINCE, held=False) == {"node-1"}
    assert given_up.at(70.9, SINCE, held=False) == {"node-1"}
    assert given_up.at(71, SINCE, held=False) == {"node-1", "node-2"}
    assert given_up.at(81, SINCE, held=False) == SINCE.keys()


def test_when_the_next_one_is_given_up_is_known_before():
    given_up = GivenUp(60)
    assert given_up.next_at({}) is None
    for at in (60, 70, 80):
        assert given_up.next_at(SINCE) == at
        assert given_up.at(at - 0.1, SINCE, held=False) < given_up.at(at, SINCE, held=False)
    assert given_up.next_at(SINCE) is None
    assert given_up.next_at({**SINCE, "node-4": 100.0}) == 160


def test_none_is_given_up_while_nothing_is_concluded():
    given_up = GivenUp(60)
    assert given_up.at(61, SINCE, held=False) == {"node-1"}
    assert given_up.at(90, SINCE, held=True) == ()
    assert given_up.at(91, SINCE, held=False) == {"node-1", "node-2"}


def test_one_that_answers_again_is_not_given_up_any_more():
    given_up = GivenUp(60)
    assert given_up.at(61, SINCE, held=False) == {"node-1"}
    assert given_up.at(62, {"node-2": 5.0}, held=False) == set()
    assert given_up.at(72, {"node-1": 70.0}, held=False) == set()


async def test_when_most_answer_again_the_rest_has_as_long_as_one_that_fell_silent_just_now():
    now = 0.0
    places = Places(None, ticks=lambda: now, node_lost_s=60, on_change=lambda _: None)

    def hear(number, *, is_lost):
        before, after = (
            replace(on(f"node-{number}", is_lost=lost), name=f"r-{number}") for lost in (not is_lost, is_lost)
        )
        places.take(None if now == 0 else before, after)
        return after

    pods = [hear(number, is_lost=True) for number in range(4)]
    now = 100.0
    assert all(places.is_held(pod) for pod in pods)
    hear(0, is_lost=False)
    hear(1, is_lost=False)
    assert not places.is_general
    assert all(places.is_held(pod) for pod in pods[2:])
    now += BELIEVED_AFTER_S
    assert not any(places.is_held(pod) for pod in pods[2:])


def told_of(play):
    """(seconds, node, whether it is given up then) of each time that somebody was told of a node in a play of
    150 s."""
    told = []

    async def scene():
        loop = asyncio.get_running_loop()

        def note(node):
            is_given_up = node is not None and places.must_move(on(node, is_lost=True)) is not None
            told.append((round(loop.time()), node, is_given_up))

        places = Places(None, ticks=loop.time, node_lost_s=60, on_change=note)
        seen = {}

        def hear(number, *, is_lost):
            after = replace(on(f"node-{number}", is_lost=is_lost), name=f"r-{number}")
            places.take(seen.get(number), after)
            seen[number] = after

        for number in range(5):
            hear(number, is_lost=False)
        await play(hear)
        await let_time_pass(150 - loop.time())

    with asyncio.Runner(loop_factory=SwiftLoop) as runner:
        runner.run(scene())
    return told


def test_whoever_listens_is_told_of_each_node_when_it_is_given_up():
    async def play(hear):
        hear(1, is_lost=True)
        hear(2, is_lost=True)

    assert told_of(play) == [
        *((10, node, False) for node in ("node-1", "node-1", "node-2", "node-2")),
        (60, "node-1", True),
        (70, "node-2", True),
    ]


def test_nobody_is_told_of_one_that_answers_again_in_time():
    async def play(hear):
        hear(1, is_lost=True)
        await let_time_pass(59)
        hear(1, is_lost=False)
        await let_time_pass(5)
        hear(1, is_lost=True)

    assert [each for each in told_of(play) if each[2]] == [(124, "node-1", True)]


def test_none_is_given_up_while_most_are_silent_and_those_that_stay_so_have_their_time():
    async def play(hear):
        for number in range(4):
            hear(number, is_lost=True)
        await let_time_pass(70)
        for number in range(2):
            hear(number, is_lost=False)

    told = told_of(play)
    assert [each for each in told if each[2]] == [(130, "node-2", True), (140, "node-3", True)]
