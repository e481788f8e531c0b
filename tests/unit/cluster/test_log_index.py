"""The order over everything that the replicas of a deployment wrote."""

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
    with (tmp_path / "log.index").open("ab") as file:
        file.write(b"torn")
    log.write_bytes(b"one\ntwo\n")
    LogIndex(str(tmp_path)).note(0, str(log), 6.0, has_ended=False)
    assert entries(index) == [(0, 0, 0, 4, 5.0), (1, 0, 4, 8, 6.0)]


def test_old_entries_are_given_up_and_what_was_entered_is_not_entered_again(tmp_path, log):
    quiet = tmp_path / "quiet"
    quiet.write_bytes(b"once\n")
    index = LogIndex(str(tmp_path), keep_bytes=16_384)
    index.note(1, str(quiet), 0.0, has_ended=False)
    with log.open("ab", buffering=0) as file:
        for number in range(2_000):
            file.write(b"x\n")
            index.note(2, str(log), float(number), has_ended=False)

    fresh = LogIndex(str(tmp_path))
    assert fresh.note(1, str(quiet), 9.0, has_ended=False) == 5
    assert (tmp_path / "log.index").stat().st_blocks * 512 <= 16_384 * 5 // 4 + 8192
    kept = [stretch for stretch in fresh.stretches() if stretch.end > stretch.start]
    assert kept[-1].end == 4_000
    assert all(stretch.order == 2 for stretch in kept)
    assert [stretch.end for stretch in kept] == list(range(kept[0].end, 4_001, 2))
