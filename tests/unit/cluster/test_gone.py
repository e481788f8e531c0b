"""What a replica leaves behind is deleted, whatever it made of it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.common.cluster.local.shim.gone import delete, delete_whole

NOBODY = 65_534

DIG = """
import os, sys
os.chdir(sys.argv[1])
for _ in range(3000):
    os.mkdir("d")
    os.chdir("d")
    open("file", "w").close()
"""


def test_a_tree_too_deep_to_be_named_is_deleted(tmp_path: Path):
    left = tmp_path / "left"
    left.mkdir()
    (left / "link").symlink_to("/etc")
    subprocess.run([sys.executable, "-c", DIG, left], check=True)
    delete(str(left))
    assert not left.exists()
    assert Path("/etc/passwd").exists()


def test_what_is_gone_already_is_no_trouble(tmp_path: Path):
    delete(f"{tmp_path}/nothing")
    assert not any(tmp_path.iterdir())


def test_a_tree_in_which_a_replica_has_closed_every_folder_is_deleted(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)

    def close_and_delete() -> None:
        inner = Path("left/a/b/c")
        inner.mkdir(parents=True)
        (inner / "file").touch()
        (inner / "link").symlink_to("../../../../outside")
        (inner / "file").chmod(0)
        for folder in (inner, *list(inner.parents)[:3]):
            folder.chmod(0)
        delete_whole("left")

    as_nobody_in(tmp_path, close_and_delete)
    assert not (tmp_path / "left").exists()
    assert outside.stat().st_mode & 0o777 == 0o750


def test_a_link_in_the_place_of_the_directory_leads_nowhere(tmp_path: Path):
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o750)
    (kept / "file").touch()
    (tmp_path / "left").symlink_to(kept)
    delete(f"{tmp_path}/left")
    assert (kept / "file").exists()
    assert kept.stat().st_mode & 0o777 == 0o750


def test_what_has_to_stay_is_told(tmp_path: Path):
    def delete_in_a_closed_place() -> None:
        Path("closed/left").mkdir(parents=True)
        Path("closed").chmod(0o500)
        with pytest.raises(PermissionError):
            delete_whole("closed/left")
        delete("closed/left")

    as_nobody_in(tmp_path, delete_in_a_closed_place)


def as_nobody_in(folder: Path, work: Callable[[], None]) -> None:
    """Do it in that folder without the rights of root, whose rights no mode limits."""
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.chdir(folder)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - it must not go on as a second test run
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
