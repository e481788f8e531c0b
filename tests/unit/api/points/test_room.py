"""The room of what is kept: what goes where there is no more of it."""

from services.api.points.tables import REPLICA
from services.api.points.upkeep import HOUR
from tests.unit.api.points.kept import NOON, minute, numbers


def test_the_oldest_hour_goes_whole_where_there_is_no_more_room(make, tmp_path):
    room = 1024 * 1024
    store = make(room)
    names = [f"deployment-{number}" for number in range(300)]
    for hour in range(24):
        store.put(minute(NOON + hour * HOUR, deployments=names, replicas=("one", "other")))
    first = store.recorded_from()
    assert first is not None
    assert NOON < first < NOON + 23 * HOUR
    assert first % HOUR == 0
    assert numbers(store, deployment=names[0])[0][0] == first
    assert numbers(store, deployment=names[-1])[0][0] == first
    assert numbers(store, REPLICA, deployment=names[-1])[0][0] == first
    assert sum(path.stat().st_size for path in (tmp_path / "api").iterdir()) < room * 1.5 + 4 * 1024 * 1024


def test_the_minutes_of_the_present_hour_are_bounded_too(make, tmp_path):
    room = 1024 * 1024
    store = make(room)
    replicas = [f"{number:032x}" for number in range(400)]
    path = tmp_path / "api" / "points.db"
    for number in range(NOON, NOON + 60):
        store.put(minute(number, replicas=replicas))
        with store._engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        assert pages * 4096 <= 0.9 * room
    (kept,) = numbers(store)
    assert kept == list(range(kept[0], NOON + 60))
    assert NOON < kept[0] < NOON + 30
    store.put(minute(NOON + 60))
    assert path.stat().st_size <= 0.9 * room
    assert path.with_name("points.db-wal").stat().st_size == 0, "an hour was packed"


def test_days_become_months_where_they_take_too_much_and_no_request_is_lost(make):
    store = make(1024 * 1024)
    names = [f"d-{number}" for number in range(30)]
    for day in range(60):
        store.put(minute(NOON + day * 24 * HOUR, deployments=names, replicas=(), answered=2))
    for name in names:
        by_day = store.requests_by_day(name)
        assert sum(answered for _, answered, *_ in by_day) == 2 * 60
        # From 19 February on, up to 19 April.
        assert by_day[:2] == [("2025-02", 20, 0, 0, 20_000), ("2025-03", 62, 0, 0, 62_000)]
        assert [day for day, *_ in by_day[2:]] == [f"2025-04-{day:02}" for day in range(1, 20)]
    # What comes late of such a month is added to it.
    store.put(minute(NOON, deployments=("d-0",), replicas=(), answered=5))
    for day in range(60, 100):
        store.put(minute(NOON + day * 24 * HOUR, deployments=names, replicas=(), answered=2))
    by_day = store.requests_by_day("d-0")
    assert [day for day, *_ in by_day if len(day) == 7] == ["2025-02", "2025-03", "2025-04"]
    assert sum(answered for _, answered, *_ in by_day) == 2 * 100 + 5


def test_the_oldest_days_of_requests_go_where_they_take_too_much_of_the_room(make):
    room = 1024 * 1024
    store = make(room)
    a_day = 24 * HOUR
    for day in range(20):
        names = [f"deployment-{day}-{number}" for number in range(300)]
        store.put(minute(NOON + day * a_day, deployments=names, replicas=()))
    assert store.requests_by_day("deployment-0-0") == []
    assert store.requests_by_day("deployment-19-299")[0][1] == 1
    kept = [day for day in range(20) if store.requests_by_day(f"deployment-{day}-0")]
    assert kept == list(range(kept[0], 20)), "the newest ones, and each of them whole"
    assert 3 <= len(kept) <= 5, (
        "a quarter of the room, which is 4 days, and what came since the last full hour"
    )
    assert store.recorded_from() is not None
    assert numbers(store, deployment="deployment-15-0") == [[NOON + 15 * a_day]], (
        "hours have room beside them"
    )
