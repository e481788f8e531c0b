"""The database of points: what it keeps, for how long and in how much room."""

from dataclasses import astuple, replace
from time import process_time

import pytest

from libs.common.metrics.port import Place
from services.api.points.minutes import DeploymentPoint, GpuPoint, Minute, ReplicaPoint
from services.api.points.packing import average_by, pack, unpack
from services.api.points.places import Taken
from services.api.points.tables import DEPLOYMENT, GPU, REPLICA
from services.api.points.upkeep import COARSE, FINE, HOUR, KEPT
from tests.unit.api.points.kept import NOON, minute, numbers


def test_what_was_put_is_there_also_after_a_restart(make):
    store = make()
    assert (store.last_minute(), store.recorded_from()) == (None, None)
    store.put(minute(NOON))
    store.put(minute(NOON + 1, answered=7))
    for again in (store, make()):
        assert (again.last_minute(), again.recorded_from()) == (NOON + 1, NOON)
        (found,) = again.points(DEPLOYMENT, "d", first=NOON, last=NOON + 5)
        assert found.points == (
            (NOON, 1, astuple(minute(NOON).deployments["d"])),
            (NOON + 1, 1, astuple(minute(0, answered=7).deployments["d"])),
        )
        (replica,) = again.points(REPLICA, "d", first=NOON, last=NOON + 5)
        assert replica.replica_id == "r"
        assert replica.points[0] == (NOON, 1, (0.5, 1e6, 2.0, None))
        assert again.counted(first=NOON, last=NOON + 1) == [NOON, NOON + 1]


def test_what_was_taken_in_before_counts_once(make):
    """As where the answer of the disk never came."""
    store = make()
    first = replace(minute(NOON, answered=3), taken=Taken(Place("s", 7), 2))
    store.put(first)
    for again in (store, make()):
        again.put(first)
        assert again.taken() == first.taken
        assert again.requests_by_day("d")[0][1] == 3
        assert again.points(DEPLOYMENT, "d", first=0, last=2**40)[0].points[0][2][0] == 3
    # The places of a stream that was made anew are others.
    store.put(replace(minute(NOON + 1, answered=4), taken=Taken(Place("anew", 1), 0)))
    assert store.requests_by_day("d")[0][1] == 7


@pytest.mark.parametrize("until", [NOON + 5, NOON + HOUR + 5, NOON + 3 * HOUR])
def test_a_clock_that_is_set_back_loses_no_minute_and_no_request(make, until):
    """In the same hour, behind one that is packed, and far behind that."""
    store = make()
    for number in range(NOON, until):
        store.put(minute(number, answered=2))
    for number in range(NOON + 3, NOON + 8):
        store.put(minute(number, answered=5))
    for number in range(until, until + 2 * HOUR):
        store.put(minute(number, answered=2))
    wanted = dict.fromkeys(range(NOON, until + 2 * HOUR), 2.0)
    for number in range(NOON + 3, NOON + 8):
        wanted[number] = 5.0 if number >= until else 7.0
    if until == NOON + 5:
        wanted |= dict.fromkeys(range(NOON + 5, NOON + 8), 7.0)
    for again in (store, make()):
        (found,) = again.points(DEPLOYMENT, "d", first=0, last=2**40)
        assert {at: values[0] for at, _, values in found.points} == wanted
        assert len(found.points) == len(wanted)
        assert sum(day[1] for day in again.requests_by_day("d")) == sum(wanted.values())
        assert numbers(again, REPLICA) == [sorted(wanted)]


def test_of_two_accounts_of_a_minute_levels_are_those_of_the_newer_one(make):
    store = make()
    old = DeploymentPoint(10.0, 1.0, None, 100.0, cpu_cores=0.5, memory_bytes=1e6, replicas=1.0)
    new = DeploymentPoint(5.0, None, 2.0, 50.0, cpu_cores=2.0, memory_bytes=None, replicas=3.0)
    store.put(Minute(NOON, True, {"d": old}, {}))
    store.put(Minute(NOON, False, {"d": new}, {}))
    (found,) = store.points(DEPLOYMENT, "d", first=0, last=2**40)
    assert found.points[0][2] == (15.0, 1.0, 2.0, 150.0, 2.0, 1e6, 3.0, None, None)


def test_what_comes_late_for_coarse_points_counts_in_them(make):
    store = make()
    store.put(minute(NOON))
    store.put(minute(NOON + (FINE + 1) * HOUR))
    later = replace(minute(NOON + 20), replicas={("d", "r"): ReplicaPoint(2.0, 2e6, 2.0, None)})
    store.put(later)
    (replica,) = store.points(REPLICA, "d", first=NOON, last=NOON + HOUR)
    assert replica.points == (
        (NOON, COARSE, (0.5, 1e6, 2.0, None)),
        (NOON + COARSE, COARSE, (2.0, 2e6, 2.0, None)),
    )


def test_a_minute_of_the_far_future_takes_nothing_away(make):
    """Points age by the clock of who keeps them."""
    store = make()
    for number in range(NOON, NOON + 3 * HOUR):
        store.now = number
        store.put(minute(number))
    store.put(minute(NOON + 16 * 24 * HOUR))
    assert numbers(store, last=NOON + 3 * HOUR) == [list(range(NOON, NOON + 3 * HOUR))]
    assert numbers(store, REPLICA, last=NOON + 3 * HOUR) == [list(range(NOON, NOON + 3 * HOUR))]


def test_a_clock_that_is_weeks_ahead_for_a_moment_takes_no_more_than_some_hours(make):
    store = make()
    for hour in range(15 * 24):
        store.put(minute(NOON + hour * HOUR))
    later = NOON + 30 * 24 * HOUR
    store.put(minute(later))
    (left,) = numbers(store, last=later - 1)
    assert left == list(range(NOON + 2 * HOUR, NOON + 15 * 24 * HOUR, HOUR))


def test_fifteen_days_are_kept_by_a_clock_that_is_an_hour_ahead(make):
    store = make()
    for hour in range(15 * 24 + 1):
        store.put(minute(NOON + hour * HOUR))
    now = NOON + 15 * 24 * HOUR
    store.put(minute(now + HOUR))
    assert store.recorded_from() == NOON


def test_only_what_was_asked_for_is_given(make):
    store = make()
    for number in range(NOON, NOON + 5):
        store.put(minute(number, deployments=("d", "e")))
    assert numbers(store, first=NOON + 1, last=NOON + 3) == [[NOON + 1, NOON + 2, NOON + 3]]
    assert numbers(store, deployment="none") == []


def test_hours_that_are_over_are_packed_and_read_the_same(make):
    store = make()
    wanted = list(range(NOON, NOON + 3 * HOUR, 7))
    for number in wanted:
        store.put(minute(number))
    assert numbers(store) == [wanted]
    assert numbers(make(), REPLICA) == [wanted]
    assert store.points(DEPLOYMENT, "d", first=NOON + 7, last=NOON + 7)[0].points[0][2] == astuple(
        minute(0).deployments["d"]
    )


def test_a_replica_has_coarse_points_after_a_day_and_a_deployment_its_minutes(make):
    store = make()
    for number in range(NOON, NOON + 30):
        store.put(minute(number))
    store.put(minute(NOON + (FINE + 1) * HOUR))
    assert numbers(store, last=NOON + HOUR) == [list(range(NOON, NOON + 30))]
    (replica,) = store.points(REPLICA, "d", first=NOON, last=NOON + HOUR)
    assert replica.points == (
        (NOON, COARSE, (0.5, 1e6, 2.0, None)),
        (NOON + COARSE, COARSE, (0.5, 1e6, 2.0, None)),
    )


def test_after_fifteen_days_they_are_forgotten_and_the_requests_of_days_stay(make):
    store = make()
    store.put(minute(NOON, answered=5, deployments=("d", "old")))
    store.put(minute(NOON + 1, answered=6))
    later = NOON + (KEPT + 1) * HOUR
    store.put(minute(later))
    assert store.recorded_from() == later
    assert numbers(store) == [[later]]
    assert numbers(store, deployment="old") == []
    first, last = store.requests_by_day("d")
    assert (first[1], last[1]) == (11, 1)
    assert store.requests_by_day("old")[0][1] == 5
    # Its series is gone too, and can begin again.
    store.put(minute(later + 1, deployments=("old",)))
    assert numbers(make(), deployment="old") == [[later + 1]]


def test_series_that_there_were_are_found_again_and_not_kept_in_memory(make):
    store = make()
    for hour in range(5):
        store.put(minute(NOON + hour * HOUR, deployments=("d", f"old-{hour}")))
    store.put(minute(NOON + 4 * HOUR + 1))
    assert {deployment_id for _, deployment_id, _, _ in store._ids} == {"", "d"}
    store.put(minute(NOON + 5 * HOUR, deployments=("old-0",)))
    assert numbers(store, deployment="old-0") == [[NOON, NOON + 5 * HOUR]]


def test_gpus_have_their_points(make):
    store = make()
    gpus = {("d", "r", gpu): GpuPoint(10.0 * gpu, None) for gpu in (0, 1)}
    store.put(Minute(NOON, False, {}, {}, gpus))
    found = store.points(GPU, "d", first=0, last=2**40)
    assert [(one.gpu, one.points[0][2]) for one in found] == [(0, (0.0, None)), (1, (10.0, None))]
    assert store.counted(first=NOON, last=NOON) == []


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_what_cannot_be_read_is_put_aside(make, tmp_path, content):
    path = tmp_path / "api" / "points.db"
    path.parent.mkdir()
    path.write_bytes(content)
    store = make()
    store.put(minute(NOON))
    assert numbers(store) == [[NOON]]
    assert path.with_name("points.db.unreadable").exists() == bool(content)


def test_two_weeks_of_a_deployment_are_read_in_a_moment(make):
    store = make()
    hours_ = 14 * 24
    for hour in range(hours_):
        for number in range(NOON + hour * HOUR, NOON + hour * HOUR + 60, 30):
            store.put(minute(number))
    begin = process_time()
    (found,) = store.points(DEPLOYMENT, "d", first=NOON, last=NOON + hours_ * HOUR)
    assert len(found.points) == hours_ * 2
    assert process_time() - begin < 2.0


def test_packing_gives_back_what_was_packed():
    rows = [(59, (1.0, None)), (0, (0.0, -1.5)), (7, (None, None))]
    assert unpack(pack(rows)) == sorted(rows)
    assert unpack(pack([])) == []


def test_averages_are_of_what_is_known():
    rows = [(0, (1.0, None)), (14, (2.0, None)), (15, (5.0, 1.0)), (16, (None, 3.0))]
    assert average_by(rows, 15) == [(0, (1.5, None)), (15, (5.0, 2.0))]
