"""The name of a copy goes over to its next process, and to nobody else."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.common.bus import holder as holder_module
from libs.common.bus.holder import holder


def test_the_next_process_has_the_name_of_the_last_one(tmp_path: Path) -> None:
    with holder(tmp_path / "run", "health") as first:
        pass
    with holder(tmp_path / "run", "health") as second, holder(tmp_path / "run", "health-2") as other:
        assert second == first != other


def test_two_that_live_have_two_names(tmp_path: Path) -> None:
    with holder(tmp_path, "health") as first, holder(tmp_path, "health") as second:
        assert first != second
    with holder(tmp_path, "health") as third:
        assert third == first


def test_after_a_start_of_the_machine_or_on_another_one_it_is_another_name(tmp_path: Path) -> None:
    with holder(tmp_path, "health") as first:
        pass
    path = tmp_path / "health.holder"
    assert path.read_text().endswith(f" {first}\n")
    for content in (f"another-boot {first}\n", "", first, "\0" * 500, f"{path.read_text().split()[0]} a.b\n"):
        path.write_text(content)
        with holder(tmp_path, "health") as second:
            assert second != first
        with holder(tmp_path, "health") as third:
            assert third == second


def test_where_it_cannot_be_kept_there_is_a_name_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "health.holder").mkdir()
    with holder(tmp_path, "health") as first, holder(tmp_path, "health") as second:
        assert first
        assert first != second


def refused(code: int) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def unlockable(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network's file system whose server keeps no locks."""
    monkeypatch.setattr(holder_module.fcntl, "flock", refused(errno.ENOLCK))


def without_a_boot_id(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /proc is hidden."""
    monkeypatch.setattr(holder_module, "_BOOT_ID", path.parent / "hidden")


def unreadable(path: Path, _: pytest.MonkeyPatch) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [unlockable, without_a_boot_id, unreadable])
def test_where_nobody_can_tell_whose_name_it_is_there_is_another_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    with holder(tmp_path, "health") as before:
        pass
    spoil(tmp_path / "health.holder", monkeypatch)
    with holder(tmp_path, "health") as first:
        pass
    with holder(tmp_path, "health") as second:
        assert len({before, first, second}) == 3
