"""Running totals from counters that their owner drops; see the table of `counts.py`."""

import json
import random

import pytest

from services.router.measuring.counts import Counts
from services.router.measuring.said import read_all
from services.router.xds.counting import PLACES, place_of

ANSWERED = 0


def totals(counts):
    return {one.deployment_id: one.answered for one in counts.totals}


def pushed(value, of="d1"):
    return {of: {ANSWERED: value}} if value is not None else {}


@pytest.mark.parametrize(
    ("pushes", "total"),
    [
        pytest.param([5], 5, id="first seen"),
        pytest.param([5, 5, 5], 5, id="pushed again unchanged"),
        pytest.param([5, 7], 7, id="more"),
        pytest.param([5, None, None, 6], 6, id="hidden, then touched"),
        pytest.param([5, 2], 7, id="less: dropped"),
        pytest.param([5, None, 5], 10, id="hidden and not more: dropped"),
        pytest.param([1, None, 1, None, 1], 3, id="dropped again and again"),
    ],
)
def test_what_is_pushed(pushes, total):
    counts = Counts("start-1")
    for value in pushes:
        counts.push(pushed(value))
    assert totals(counts) == {"d1": total}


def test_what_is_not_among_all_was_dropped():
    counts = Counts("start-1")
    counts.push(pushed(5))
    counts.push({})
    counts.resync({}, exists=lambda _: True)
    counts.push(pushed(9))
    assert totals(counts) == {"d1": 14}


def test_what_is_hidden_and_among_all_was_not_dropped():
    counts = Counts("start-1")
    counts.push(pushed(5))
    counts.push({})
    counts.resync(pushed(5), exists=lambda _: True)
    assert counts.push({}) == set()
    assert counts.push(pushed(6)) == {"d1"}
    assert totals(counts) == {"d1": 6}


def test_what_was_touched_before_a_look_is_counted_once():
    counts = Counts("start-1")
    counts.push(pushed(2))
    counts.push({})
    assert counts.resync(pushed(1), exists=lambda _: True) == {"d1"}
    counts.push(pushed(1))
    assert totals(counts) == {"d1": 3}


def test_a_deployment_goes_with_its_counters():
    counts = Counts("start-1")
    counts.push(pushed(5) | pushed(1, "d2"))
    counts.resync(pushed(5), exists=lambda _: False)
    assert totals(counts) == {"d1": 5}
    counts.resync({}, exists=lambda _: False)
    assert totals(counts) == {}


def test_a_push_that_hides_something_tells_of_a_sweep():
    counts = Counts("start-1")
    counts.push(pushed(5) | pushed(1, "d2"))
    assert not counts.has_hidden(pushed(6) | pushed(1, "d2"))
    assert counts.has_hidden(pushed(6))


def test_what_is_remembered_goes_on():
    counts = Counts("start-1")
    for value in (5, 2, None):
        counts.push(pushed(value))
    memory = json.loads(json.dumps(counts.remember()))
    same = Counts.remembered(memory, "start-1")
    assert same is not None
    assert totals(same) == {"d1": 7}
    same.push(pushed(2))
    assert totals(same) == {"d1": 9}, "it was hidden and is not more: dropped while nobody listened"


@pytest.mark.parametrize(
    "memory",
    [
        None,
        [],
        {"counter_id": "another", "deployments": {}},
        {"counter_id": "start-1"},
        {"counter_id": "start-1", "deployments": {"d1": [[1], [2], [3]]}},
        {"counter_id": "start-1", "deployments": {"d1": [[-1] * PLACES] * 3}},
        {"counter_id": "start-1", "deployments": {"d1": [["1"] * PLACES] * 3}},
    ],
)
def test_what_is_no_memory_of_this_start_is_not_taken(memory):
    assert Counts.remembered(memory, "start-1") is None


@pytest.mark.parametrize("seed", range(20))
def test_totals_are_what_was_counted_whatever_is_swept_missed_and_restarted(seed):
    """Against a model of Envoy: requests, pushes of which some are lost, sweeps, looks, restarted routers."""
    chance = random.Random(seed)
    envoy: dict[str, int] = {}
    used: set[str] = set()
    truth: dict[str, int] = {}
    counts = Counts("start-1")
    ids = [f"d{number}" for number in range(6)]
    last: dict[str, int] = {}
    for step in range(1, 400):
        for id_ in ids:
            for _ in range(chance.choice((0, 0, 0, 0, 0, 0, 1, 3))):
                truth[id_] = truth.get(id_, 0) + 1
                envoy[id_] = envoy.get(id_, 0) + 1
                used.add(id_)
        is_lost = chance.random() < 0.1
        if not is_lost:
            counts.push({id_: {ANSWERED: envoy[id_]} for id_ in used})
            found = totals(counts)
            assert all(found.get(id_, 0) >= value for id_, value in last.items())
            last = found
        if step % 7 == 0:  # a sweep, just after a push
            for id_ in envoy.keys() - used:
                del envoy[id_]
            used.clear()
        # After lost pushes, and after each sweep, all is looked at.
        counts.resync({id_: {ANSWERED: value} for id_, value in envoy.items()}, exists=lambda _: True)
        if chance.random() < 0.05:
            counts = Counts.remembered(json.loads(json.dumps(counts.remember())), "start-1")
        assert totals(counts) == truth


def test_names_are_read_as_envoy_writes_them():
    text = """\
requests.ended.of.abc,0: 12
requests.ended.of.abc,: 3
requests.us.of.abc,0: 4567
requests.us.of.abc,: 99
requests.cut_ms.of.abc,0,: 5
requests.cut_ms.of.abc,0,0: 7
requests.errors.of.abc,0: 1
requests.ended.of.,: 8
cluster_manager.cds.update_success: 3
requests.ended.of.abc,0,evil: 3
requests.ended.of.def,0: P0(nan,0)
"""
    counts = Counts("start-1")
    counts.resync(read_all(text), exists=lambda _: True)
    (one,) = counts.totals
    assert one.deployment_id == "abc"
    assert (one.answered, one.unanswered, one.server_errors, one.duration_us) == (12, 3, 1, 4567 + 5000)


@pytest.mark.parametrize("name", ["other.ended", "requests", "requests.ended.more", ""])
def test_other_counters_have_no_place(name):
    assert place_of(name, "abc,0") is None
