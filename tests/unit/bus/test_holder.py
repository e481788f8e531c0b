"""The name of a copy goes over to its next process, and to nobody else."""

from pathlib import Path

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
