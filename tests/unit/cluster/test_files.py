"""What a disk that runs full leaves of a replica's files."""

import resource

import pytest

from libs.common.cluster.local.shim import files


def test_a_write_that_the_disk_takes_only_in_part_leaves_the_old_content(tmp_path):
    path = str(tmp_path / files.STATE)
    files.write_json(path, {"attempt": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk: the kernel takes what fits, and refuses the rest.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write_json(path, {"message": "x" * 6000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files.read_json(path) == {"attempt": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == [files.STATE]
