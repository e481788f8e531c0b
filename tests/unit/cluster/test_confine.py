"""What is said about a confinement that is not whole."""

import pytest

from libs.common.cluster.local.shim.confine import lacking


@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param(0, ["are not confined"], id="no Landlock"),
        pytest.param(1, ["move no file", "cut off files", "send signals"], id="the first"),
        pytest.param(2, ["cut off files", "send signals"], id="files can be moved"),
        pytest.param(5, ["send signals"], id="files cannot be cut off"),
    ],
)
def test_what_a_kernel_cannot_refuse_is_said(version, said):
    (notice,) = lacking(version, has_mounts=True, has_filter=True)
    assert all(each in notice for each in said)


@pytest.mark.parametrize("version", [6, 7, 99])
def test_a_whole_confinement_needs_no_words(version):
    assert lacking(version, has_mounts=True, has_filter=True) == ()


def test_what_landlock_does_not_govern_is_said_where_nothing_else_refuses_it():
    mounts, calls = lacking(6, has_mounts=False, has_filter=False)
    assert "change modes and times of files" in mounts
    assert "change the limits and the priority of processes" in calls
    unconfined, *others = lacking(0, has_mounts=False, has_filter=False)
    assert "are not confined" in unconfined
    assert others == [mounts, calls]
