"""Reading logs, forwards and backwards, and that its cost does not grow with their age."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from libs.common.cluster.local.home import Home
from libs.common.cluster.local.lines import MOST_OPEN_LOGS, read_lines
from libs.common.cluster.local.shim.log_index import LogIndex

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEPLOYMENT = "d"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.deployment(DEPLOYMENT).mkdir()
    return home


def make_replica(home: Home, order: int) -> Path:
    directory = home.deployment(DEPLOYMENT) / f"replica-{order}"
    directory.mkdir()
    (directory / "record.json").write_text(json.dumps({"order": order}))
    return directory / "log"


def read(home, **kwargs):
    return read_lines(home, DEPLOYMENT, **{"replica_id": None, "after": None, "now": NOW, **kwargs})


def bytes_read() -> int:
    io = Path("/proc/self/io").read_text()
    return int(next(line.split()[1] for line in io.splitlines() if line.startswith("rchar")))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def cost_of_the_last_hundred(home) -> int:
    before = bytes_read()
    assert len(list(itertools.islice(read(home, newest_first=True), 100))) == 100
    return bytes_read() - before


def test_the_last_hundred_lines_cost_the_same_after_millions(home):
    log = make_replica(home, 0)
    index = LogIndex(str(home.deployment(DEPLOYMENT)), entries=500, keep=4)

    def write(notes: int, lines: int) -> None:
        with log.open("ab", buffering=0) as file:
            for _ in range(notes):
                file.write(b"a line\n" * lines)
                index.note(0, str(log), 0.0, has_ended=False)

    write(notes=500, lines=10)
    young = cost_of_the_last_hundred(home)
    write(notes=3_000, lines=1_000)
    write(notes=20, lines=10)
    assert cost_of_the_last_hundred(home) < young * 1.5


def test_following_from_the_end_costs_the_same_after_millions(home):
    log = make_replica(home, 0)
    index = LogIndex(str(home.deployment(DEPLOYMENT)))
    costs = []
    for lines in (1_000, 2_000_000):
        with log.open("ab", buffering=0) as file:
            file.write(b"a line\n" * lines)
            index.note(0, str(log), 0.0, has_ended=False)
            file.write(b"the end\n")
            index.note(0, str(log), 0.0, has_ended=False)
        last = next(read(home, newest_first=True)).id
        before = bytes_read()
        assert list(read(home, after=last)) == []
        costs.append(bytes_read() - before)
    assert costs[1] < costs[0] + 4096, costs


def test_readers_of_a_thousand_replicas_keep_few_files_open(home):
    for order in range(1_000):
        make_replica(home, order).write_bytes(b"one\ntwo\n")
    before = open_files()
    readers = [read(home, newest_first=newest_first) for newest_first in (False, True, False)]
    seen = 0
    for lines in itertools.zip_longest(*readers):
        assert all(lines)
        seen += 1
        if seen % 100 == 0:
            assert open_files() <= before + 3 * (MOST_OPEN_LOGS + 2)
    assert seen == 2_000
    assert open_files() <= before


@pytest.mark.parametrize("block", [1, 7, 100_000])
def test_backwards_gives_the_same_lines_the_other_way_round(home, monkeypatch, block):
    monkeypatch.setattr("libs.common.cluster.local.lines._BLOCK_BYTES", block)
    for order in range(3):
        make_replica(home, order).write_bytes(b"".join(b"x" * n + b"\n" for n in range(order, 40)) + b"torn")
    make_replica(home, 3).write_bytes(b"y" * 200_000 + b"\nend\n")
    forwards = list(read(home))
    backwards = list(read(home, newest_first=True))
    assert backwards == forwards[::-1]
    assert len(forwards) == 40 + 39 + 38 + 5
    for place in (0, 17, len(forwards) - 1):
        assert list(read(home, after=forwards[place].id)) == forwards[place + 1 :]
        assert list(read(home, newest_first=True, after=forwards[place].id)) == forwards[:place][::-1]
    assert [line.replica_id for line in read(home, replica_id="replica-1")] == ["replica-1"] * 39


def test_a_log_that_is_mostly_a_hole_is_not_read_for_it(home):
    log = make_replica(home, 0)
    with log.open("wb") as file:
        file.truncate(10 << 30)
        file.seek(0, 2)
        file.write(b"\nafter the hole\n")
    before = bytes_read()
    assert next(read(home, newest_first=True)).message == "after the hole"
    assert sum(1 for _ in read(home)) < 2_000
    assert bytes_read() - before < 200 << 20


def test_a_log_that_was_set_aside_is_read_on(home):
    """As it is done where a file system cannot give the front of a file back."""
    log = make_replica(home, 0)
    index = LogIndex(str(home.deployment(DEPLOYMENT)))
    for number in range(3):
        with log.open("ab") as file:
            file.write(b"line %d\n" % number)
        index.set_aside(0, str(log), 0.0)
    with log.open("ab") as file:
        file.write(b"the end\n")
    lines = list(read(home))
    assert [line.message for line in lines] == ["line 2", "the end"]
    assert list(read(home, newest_first=True)) == lines[::-1]
    assert list(read(home, after=lines[0].id)) == lines[1:]
