"""What a program writes is bounded, and nothing but the oldest is lost while it goes on writing."""

import subprocess
import sys

import pytest

from libs.supervisor.log_rotation import rotate, rotate_all
from tests.support.small_disk import small_disks

LINES = 400_000
LIMIT = 64 * 1024

WRITER = f"""
import os, time
for number in range({LINES}):
    os.write(1, b"line %07d of what a program has to say\\n" % number)
    while number % 1000 == 0 and os.fstat(1).st_size > {24 * LIMIT}:
        time.sleep(0.001)
"""
"""It never is so far ahead of who rotates that the beginning would have to be dropped."""


def names(path):
    return sorted(one.name for one in path.parent.iterdir())


def collected(path, numbers):
    """The oldest first."""
    older = [path.with_name(f"{path.name}.{number}") for number in reversed(range(1, numbers))]
    return b"".join(one.read_bytes() for one in [*older, path] if one.exists())


def test_a_small_log_is_left_alone(tmp_path):
    path = tmp_path / "api.log"
    path.write_bytes(b"x" * (LIMIT - 1))
    assert not rotate(path, limit=LIMIT)
    assert names(path) == ["api.log"]


def test_so_many_files_are_kept_and_the_newest_is_whole(tmp_path):
    path = tmp_path / "api.log"
    for number in range(9):
        with path.open("ab") as log:
            log.write(b"%d" % number * LIMIT)
        assert rotate(path, limit=LIMIT, kept=5)
    assert names(path) == ["api.log", "api.log.1", "api.log.2", "api.log.3", "api.log.4"]
    assert path.stat().st_size <= 4096
    content = collected(path, 5)
    assert content.endswith(b"8" * LIMIT)
    assert content == b"".join(b"%d" % number * LIMIT for number in range(9))[-len(content) :]
    assert len(content) >= 4 * LIMIT


def test_what_grew_too_fast_keeps_its_end(tmp_path):
    path = tmp_path / "api.log"
    path.write_bytes(b"a" * 10 * LIMIT + b"z" * LIMIT)
    assert rotate(path, limit=LIMIT)
    assert len(collected(path, 5)) <= LIMIT + 4096
    assert path.with_name("api.log.1").read_bytes().endswith(b"z")


def test_no_line_is_lost_while_it_is_written(tmp_path):
    path = tmp_path / "api.log"
    with path.open("ab") as log:
        writer = subprocess.Popen([sys.executable, "-c", WRITER], stdout=log)
    rotations = 0
    while writer.poll() is None:
        rotations += rotate(path, limit=16 * LIMIT, kept=100)
    assert writer.returncode == 0
    assert rotations > 5
    lines = collected(path, rotations + 1).splitlines()
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == sorted(numbers), "lines are out of order or broken"
    assert numbers == list(range(LINES)), "lines are lost or doubled"


@pytest.fixture
def make_disk(tmp_path):
    yield from small_disks(tmp_path)


def test_where_the_beginning_cannot_be_taken_off_the_file_is_emptied(make_disk, tmp_path):
    disk = make_disk(tmp_path / "logs", mib=4)
    path = disk.path / "api.log"
    with path.open("ab") as log:
        log.write(b"1" * LIMIT)
        log.flush()
        assert rotate(path, limit=LIMIT)
        assert path.stat().st_size == 0
        log.write(b"2")
    assert path.read_bytes() == b"2"
    assert path.with_name("api.log.1").read_bytes() == b"1" * LIMIT


def test_a_full_disk_costs_the_oldest_and_is_said(make_disk, tmp_path):
    disk = make_disk(tmp_path / "logs", mib=4)
    path = disk.path / "api.log"
    for number in range(1, 5):
        path.with_name(f"api.log.{number}").write_bytes(b"old" * 1000)
    path.write_bytes(b"1" * LIMIT)
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        rotate(path, limit=LIMIT)
    assert path.stat().st_size == LIMIT, "what cannot be copied stays"
    assert names(path) == ["api.log", "ballast"]
    said: list[str] = []
    path.with_name("other.log").symlink_to("nothing")
    rotate_all(disk.path, say=said.append)
    assert [line for line in said if "other.log cannot be rotated" in line]
