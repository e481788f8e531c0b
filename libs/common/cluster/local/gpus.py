"""The GPUs of this machine, as its devices show them."""

import re
from collections.abc import Iterable
from pathlib import Path

_NVIDIA = re.compile(r"nvidia\d+")
_RENDERS = re.compile(r"renderD\d+")
_OTHERS = re.compile(r"(accel|hl|neuron)\d+")


def count_gpus() -> int:
    """0 where there are none, or their devices are not there."""
    return gpus_among(_names("/dev"), _names("/dev/dri"), _names("/dev/accel"))


def gpus_among(devices: Iterable[str], dri: Iterable[str], accel: Iterable[str]) -> int:
    """devices, dri, accel: the names in `/dev` and in two folders of it. Pure.

    A device for drawing counts only beside AMD's for computing: every screen has one.
    """
    present = list(devices)
    drawing = [name for name in dri if _RENDERS.fullmatch(name)] if "kfd" in present else []
    nvidia = [name for name in present if _NVIDIA.fullmatch(name)]
    others = [name for name in (*present, *accel) if _OTHERS.fullmatch(name)]
    return len(nvidia) + len(drawing) + len(others)


def _names(directory: str) -> list[str]:
    path = Path(directory)
    return [each.name for each in path.iterdir()] if path.is_dir() else []
