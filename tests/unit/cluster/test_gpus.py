"""The devices of a machine tell how many GPUs it has."""

import pytest

from libs.common.cluster.local.gpus import gpus_among


@pytest.mark.parametrize(
    ("devices", "dri", "accel", "number"),
    [
        (["null", "tty0"], [], [], 0),
        (["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "dri"], ["card0", "renderD128"], [], 2),
        (["dri"], ["card0", "renderD128"], [], 0),
        (["dri", "kfd"], ["card0", "renderD128", "renderD129"], [], 2),
        (["accel"], [], ["accel0"], 1),
        (["hl0", "hl1", "hl_controlD0", "neuron0"], [], [], 3),
    ],
)
def test_gpus_are_counted(devices, dri, accel, number):
    assert gpus_among(devices, dri, accel) == number
