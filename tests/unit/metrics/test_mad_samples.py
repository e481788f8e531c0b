"""What a source may say at most: whoever reads it can calculate with all of it."""

import json
from typing import Any

import pytest

from libs.common.autoscaling.in_flight_loads import InFlightLoads
from libs.common.metrics.parts import read_part
from libs.common.metrics.port import Received
from libs.common.metrics.samples import LONGEST_S, MOST, Batch
from services.api.points.minutes import LOOK_BACK_S, Gathering
from services.api.points.store import PointStore

BATCH = {"counter_id": "c", "number": 1, "interval_s": 2.0, "ended_at": 1000.0, "is_whole": True}
USAGE = {"deployment_id": "d", "replica_id": "r", "attempt": 1, "ended_at": 1000.0, "window_s": 2.0}
FIELDS = {
    "usage": USAGE,
    "requests": {"deployment_id": "d"},
    "in_flight": {"deployment_id": "d", "in_flight": 1},
}


def read(kind: str, sample: dict[str, Any], **batch: Any) -> Batch | None:
    content = {**BATCH, "kind": kind, "source": "mad", **batch, kind: [{**FIELDS[kind], **sample}]}
    return read_part(kind, "mad", json.dumps(content).encode())


@pytest.mark.parametrize(
    ("kind", "sample", "batch"),
    [
        ("requests", {"answered": 10**400}, {}),
        ("requests", {"duration_us": 2**63}, {}),
        ("requests", {"deployment_id": "d" * 10_000}, {}),
        ("usage", {"memory_bytes": 10**400}, {}),
        ("usage", {"cpu_cores": 1.7e308}, {}),
        ("usage", {"window_s": 1e308}, {}),
        ("usage", {"ended_at": 1e308}, {}),
        ("usage", {"attempt": 2**31}, {}),
        ("usage", {"replica_id": "r" * 10_000}, {}),
        ("usage", {"gpus": [{"gpu": 10**30}]}, {}),
        ("usage", {"gpus": [{"gpu": -1}]}, {}),
        ("in_flight", {"in_flight": 1e308}, {}),
        ("in_flight", {}, {"interval_s": 1e9}),
        ("in_flight", {}, {"ended_at": 1e308}),
        ("in_flight", {}, {"number": 10**400}),
        ("in_flight", {}, {"counter_id": "c" * 10_000}),
    ],
)
def test_what_nobody_can_calculate_with_is_no_sample(kind, sample, batch):
    assert read(kind, {}) is not None
    assert read(kind, sample, **batch) is None


def test_with_the_most_that_can_be_said_a_minute_is_kept(tmp_path):
    most = 2**63 - 1
    gpu = {"gpu": 2**31 - 1, "utilization_percent": MOST, "memory_bytes": most}
    use = {"cpu_cores": MOST, "memory_bytes": most, "window_s": MOST, "ended_at": MOST, "gpus": [gpu]}
    said = [
        read("requests", {"answered": 0, "duration_us": 0}),
        read("requests", {"answered": most, "duration_us": most}, number=2),
        read("usage", use),
        read("in_flight", {"in_flight": MOST}, interval_s=LONGEST_S),
    ]
    gathering = Gathering()
    for number, batch in enumerate(said):
        assert batch is not None
        assert gathering.take(Received(batch, LOOK_BACK_S, number)) is None
    minute = gathering.finish(1e6)
    assert minute is not None
    store = PointStore(tmp_path / "points.db", most_bytes=1 << 20)
    store.put(minute)
    assert store.last_minute() == minute.number
    store.close()


def test_the_longest_interval_is_looked_at_in_no_time():
    batch = read("in_flight", {"in_flight": MOST}, interval_s=LONGEST_S)
    assert batch is not None
    loads = InFlightLoads()
    assert loads.take(batch, at=10_000.0, windows={"d": 10.0}) == {"d"}
    found = loads.averages("d", window_s=10.0, panic_window_s=1.0, now=10_000.0)
    assert (found.stable, found.panic) == (MOST, MOST)
