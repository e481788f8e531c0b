"""A file is replaced whole, is its owner's alone, and leaves no draft behind."""

from pathlib import Path

import pytest

from libs.common.durable import replace_file


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_whole_and_is_its_owners_alone(tmp_path: Path, *, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o644)
    replace_file(str(path), b"after", durable=durable)
    assert path.read_text() == "after"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_draft_that_a_killed_writer_left_is_never_written_into(tmp_path: Path) -> None:
    path, draft, other = tmp_path / "file", tmp_path / "draft", tmp_path / "other"
    other.write_text("somebody's")
    draft.symlink_to(other)
    replace_file(str(path), b"after", draft=str(draft))
    assert (path.read_text(), other.read_text()) == ("after", "somebody's")
    assert not draft.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_put_in_place_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    with pytest.raises(OSError, match="folder"):
        replace_file(str(tmp_path / "folder"), b"after")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]
