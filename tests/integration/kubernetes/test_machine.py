"""A machine that real nodes cannot be on is told by what it lacks, before anything of it is changed."""

from pathlib import Path

import pytest

from tests.support.kubelab import machine
from tests.support.kubelab.shared import shared_cluster

CONTROLLERS = ["cpu", "cpuset", "memory", "pids"]


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    return tmp_path


def hierarchy(of: Path, name: str) -> None:
    """One of the kernel's has that file in each group."""
    (of / name).mkdir()
    (of / name / "cgroup.procs").touch()


def test_of_several_hierarchies_each_has_to_be_there(cgroups):
    assert machine._lacking_controllers() == CONTROLLERS
    for name in ("cpu", "cpuset", "pids"):
        hierarchy(cgroups, name)
    (cgroups / "memory").mkdir()
    assert machine._lacking_controllers() == ["memory"]


def test_of_the_one_hierarchy_each_controller_has_to_be_given(cgroups):
    (cgroups / "cgroup.controllers").write_text("cpu io pids\n")
    (cgroups / "cgroup.subtree_control").touch()
    assert machine._lacking_controllers() == ["cpuset", "memory"]


def test_who_comes_after_a_refusal_is_told_the_same(tmp_path):
    (tmp_path / "refused").write_text("it gives no bridge for pods: Operation not permitted")
    with pytest.raises(machine.CannotUse, match="no bridge for pods"), shared_cluster(tmp_path, "real"):
        pytest.fail("it was started")
