"""When so many nodes are silent that it says more of us than of them."""

import pytest

from libs.common.cluster.kubernetes.pods import parse
from libs.common.cluster.kubernetes.silence import Silence
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
