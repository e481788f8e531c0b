"""What is said about a confinement that is not whole."""

import pytest

from libs.common.cluster.local.shim.confine import notices


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
    (notice,) = notices(version)
    assert all(each in notice for each in said)


@pytest.mark.parametrize("version", [6, 7, 99])
def test_a_whole_confinement_needs_no_words(version):
    assert notices(version) == ()
