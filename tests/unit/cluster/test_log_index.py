"""The order over everything that the replicas of a deployment wrote."""

import json
import os
import resource
import shutil
import struct
from contextlib import contextmanager

import pytest

from libs.common.cluster.local.shim.log_index import LONGEST_LINE, LogIndex


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def entries(index):
    return [(s.entry, s.order, s.start, s.end, s.noticed_at) for s in index.stretches()]


@pytest.mark.parametrize(
    ("written", "has_ended", "end"),
    [
        pytest.param(b"one\ntwo\n", False, 8, id="whole lines are entered"),
        pytest.param(b"one\ntw", False, 4, id="an unfinished line waits"),
        pytest.param(b"on", False, 0, id="also where it is the only one"),
        pytest.param(b"one\ntw", True, 6, id="unless its process has ended"),
        pytest.param(b"x" * LONGEST_LINE, False, LONGEST_LINE, id="or it is too long to wait for"),
        pytest.param(b"", True, 0, id="nothing written, nothing entered"),
    ],
)
def test_what_is_entered(tmp_path, log, written, has_ended, end):
    log.write_bytes(written)
    assert LogIndex(str(tmp_path)).note(0, str(log), 5.0, has_ended=has_ended) == end


def test_a_log_that_is_not_there_has_nothing(tmp_path, log):
    assert LogIndex(str(tmp_path)).note(0, str(log), 5.0, has_ended=True) == 0
    assert entries(LogIndex(str(tmp_path))) == []


def test_two_that_note_the_same_enter_it_once(tmp_path, log):
    one, two = LogIndex(str(tmp_path)), LogIndex(str(tmp_path))
    log.write_bytes(b"one\n")
    one.note(7, str(log), 5.0, has_ended=False)
    two.note(7, str(log), 6.0, has_ended=False)
    log.write_bytes(b"one\ntwo\n")
    two.note(7, str(log), 7.0, has_ended=False)
    one.note(7, str(log), 8.0, has_ended=False)
    assert entries(one) == [(0, 7, 0, 4, 5.0), (1, 7, 4, 8, 7.0)]


def test_an_entry_torn_by_a_power_cut_is_written_over(tmp_path, log):
    index = LogIndex(str(tmp_path))
    log.write_bytes(b"one\n")
    index.note(0, str(log), 5.0, has_ended=False)
    with (tmp_path / "log.index.d/0000000000").open("ab") as file:
        file.write(b"torn")
    log.write_bytes(b"one\ntwo\n")
    LogIndex(str(tmp_path)).note(0, str(log), 6.0, has_ended=False)
    assert entries(index) == [(0, 0, 0, 4, 5.0), (1, 0, 4, 8, 6.0)]


def test_old_entries_are_given_up_and_what_was_entered_is_not_entered_again(tmp_path):
    quiet, log = (make_replica(tmp_path, order) for order in (1, 2))
    quiet.write_bytes(b"once\n")
    index = LogIndex(str(tmp_path), entries=100, keep=3)
    index.note(1, str(quiet), 0.0, has_ended=False)
    with log.open("ab", buffering=0) as file:
        for number in range(2_000):
            file.write(b"x\n")
            index.note(2, str(log), float(number), has_ended=False)

    fresh = LogIndex(str(tmp_path))
    assert fresh.note(1, str(quiet), 9.0, has_ended=False) == 5
    assert len(list((tmp_path / "log.index.d").iterdir())) == 4, "three segments and the lock"
    kept = list(fresh.stretches())
    assert kept[-1].end == 4_000
    assert all(stretch.order == 2 for stretch in kept)
    assert [stretch.end for stretch in kept] == list(range(kept[0].end, 4_001, 2))
    assert [stretch.entry for stretch in kept] == sorted({stretch.entry for stretch in kept})
    assert kept[0].entry > 1_600
    assert list(reversed([s.entry for s in kept])) == [s.entry for s in fresh.stretches_backwards()]
    assert [s.entry for s in fresh.stretches(kept[5].entry)] == [s.entry for s in kept[5:]]
    assert [s.entry for s in fresh.stretches_backwards(kept[5].entry)] == [s.entry for s in kept[5::-1]]


def test_logs_of_replicas_that_are_forgotten_are_not_carried_on(tmp_path):
    index = LogIndex(str(tmp_path), entries=50, keep=3)
    for order in range(200):
        log = make_replica(tmp_path, order)
        log.write_bytes(b"x\n")
        index.note(order, str(log), 0.0, has_ended=True)
        if order >= 5:
            shutil.rmtree(tmp_path / f"replica-{order - 5}")
    newest = max(tmp_path.glob("log.index.d/[0-9]*"))
    assert newest.stat().st_size <= 48 * (50 + 2 * 6)


def make_replica(deployment, order):
    """The log of a replica that has a record and nothing else."""
    directory = deployment / f"replica-{order}"
    directory.mkdir()
    (directory / "record.json").write_text(json.dumps({"order": order}))
    return directory / "log"


@pytest.mark.parametrize(
    ("before", "after", "is_cut_off"),
    [
        pytest.param(b"one\ntwo\n", b"new\n", True, id="shorter"),
        pytest.param(b"one\ntwo\n", b"", True, id="empty"),
        pytest.param(b"one\n", b"two\n", True, id="as long, another"),
        pytest.param(b"one\n", b"two\nthree\n", True, id="longer, another"),
        pytest.param(b"one\n", b"one\n", True, id="the same again"),
        pytest.param(b"", b"one\n", False, id="empty before"),
    ],
)
def test_a_log_that_was_cut_off_begins_again(tmp_path, log, before, after, is_cut_off):
    index, other = LogIndex(str(tmp_path)), LogIndex(str(tmp_path))
    log.write_bytes(before)
    os.utime(log, ns=(1, 1))
    index.note(0, str(log), 1.0, has_ended=False)
    log.write_bytes(after)
    assert other.note(0, str(log), 2.0, has_ended=False) == len(after)
    assert other.generation(0) == is_cut_off
    assert index.note(0, str(log), 3.0, has_ended=False) == len(after)
    told = [(s.generation, s.start, s.end) for s in index.stretches()]
    expected = [(0, 0, len(before)), (int(is_cut_off), 0, len(after))]
    assert told == [each for each in expected if each[2]]


def test_a_log_that_grows_is_never_taken_for_cut_off(tmp_path, log):
    index = LogIndex(str(tmp_path))
    with log.open("ab", buffering=0) as file:
        for number in range(500):
            file.write(b"same\n" * (number % 3))
            index.note(0, str(log), float(number), has_ended=False)
    assert index.generation(0) == 0
    assert sum(s.end - s.start for s in index.stretches()) == log.stat().st_size


def test_a_long_log_that_was_only_copied_goes_on(tmp_path, log):
    index = LogIndex(str(tmp_path))
    log.write_bytes(b"line\n" * 2_000)
    index.note(0, str(log), 1.0, has_ended=False)
    os.utime(log, ns=(1, 1))
    assert index.note(0, str(log), 2.0, has_ended=False) == 10_000
    assert index.generation(0) == 0


def test_an_index_of_an_earlier_version_is_taken_over(tmp_path, log):
    """With the numbers of its entries, the first of which it has given back to the disk."""
    legacy = struct.Struct("<QQQd")
    content = b"".join(legacy.pack(0, 4 * number, 4 * number + 4, float(number)) for number in range(1_000))
    with (tmp_path / "log.index").open("wb") as file:
        file.seek(4096 * 8)
        file.write(content[4096 * 8 - 32_000 :] if len(content) > 32_000 else content)
    skipped = 4096 * 8 // 32
    log.write_bytes(b"old\n" * 1_000 + b"new\n")
    index = LogIndex(str(tmp_path))
    index.note(0, str(log), 5_000.0, has_ended=False)
    stretches = list(index.stretches())
    assert stretches[0].entry == skipped
    assert [(s.start, s.end) for s in stretches[:2]] == [(0, 4), (4, 8)]
    assert (stretches[-1].entry, stretches[-1].start, stretches[-1].end) == (skipped + 1_000, 4_000, 4_004)


def test_a_full_disk_enters_nothing_and_goes_on_later(tmp_path, log):
    index = LogIndex(str(tmp_path))
    log.write_bytes(b"one\n")
    index.note(0, str(log), 1.0, has_ended=False)
    log.write_bytes(b"one\ntwo\n")
    with (
        limited_to((tmp_path / "log.index.d/0000000000").stat().st_size + 10),
        pytest.raises(OSError, match="No space left"),
    ):
        index.note(0, str(log), 2.0, has_ended=False)
    index.note(0, str(log), 3.0, has_ended=False)
    assert entries(LogIndex(str(tmp_path))) == [(0, 0, 0, 4, 1.0), (1, 0, 4, 8, 3.0)]


@contextmanager
def limited_to(size):
    """No file of this process may grow beyond it: a write is cut short there, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
