"""The room that is kept for ending replicas on a full disk."""

import errno

import pytest

from libs.common.cluster.local.spare import NAME, SIZE, Spare


@pytest.fixture
def kept(tmp_path):
    spare = Spare(tmp_path)
    spare.keep()
    assert (tmp_path / NAME).stat().st_size == SIZE
    return spare


class Disk:
    """Full for the first so many writes."""

    def __init__(self, refusals, number=errno.ENOSPC):
        self.refusals = refusals
        self.number = number
        self.writes = 0

    def write(self):
        self.writes += 1
        if self.writes <= self.refusals:
            raise OSError(self.number, "refused")
        return "written"


def test_with_room_nothing_is_given_up(kept, tmp_path):
    assert kept.for_ending(Disk(0).write) == "written"
    assert (tmp_path / NAME).exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_on_a_full_disk_it_is_given_up_and_the_work_done_again(kept, tmp_path, number):
    assert kept.for_ending(Disk(1, number).write) == "written"
    assert not (tmp_path / NAME).exists()
    kept.keep()
    assert (tmp_path / NAME).exists()


def test_what_fails_again_or_without_a_reserve_is_not_tried_for_ever(kept):
    disk = Disk(9)
    for writes in (2, 3):
        with pytest.raises(OSError, match="refused"):
            kept.for_ending(disk.write)
        assert disk.writes == writes


def test_another_trouble_costs_no_reserve(kept, tmp_path):
    with pytest.raises(OSError, match="refused"):
        kept.for_ending(Disk(1, errno.EIO).write)
    assert (tmp_path / NAME).exists()
