"""What a machine type is on this machine: limits, where they can be had."""

import math
from dataclasses import dataclass

from libs.common.cluster.local.shim import limits
from libs.common.machine_types.catalogue import MachineType

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one replica, as its record has them. folder: of the cgroups."""

    folder: str
    cpus: float
    memory_bytes: int


def limits_of(machine_type: MachineType | None) -> Limits | None:
    """None where nothing can be limited, or the type is gone. The first time it starts a process to ask."""
    if machine_type is None or not (folder := limits.tried()[0]):
        return None
    return make_limits(machine_type, folder)


def make_limits(machine_type: MachineType, folder: str) -> Limits:
    return Limits(folder, machine_type.cpus, math.ceil(machine_type.memory_gib * _GIB))
