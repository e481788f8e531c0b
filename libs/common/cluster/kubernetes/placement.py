"""What a machine type is on a Kubernetes cluster. Pure."""

from dataclasses import dataclass
from typing import Any

from libs.common.errors import CannotApply
from libs.common.machine_types import MACHINE_TYPES


@dataclass(frozen=True, slots=True)
class Placement:
    resources: dict[str, Any]
    """Of the container."""


def place(machine_type: str) -> Placement:
    """Raises CannotApply for a type that is unknown, and for one with GPUs.

    Machine types do not say yet which nodes have their GPU, and one without that could land on any other:
    what asks for an H100 must not run on a T4.
    """
    known = MACHINE_TYPES.get(machine_type)
    if known is None:
        raise CannotApply(
            f"machineType is {machine_type!r}; allowed: one of {', '.join(sorted(MACHINE_TYPES))}"
        )
    if known.gpus:
        without = ", ".join(sorted(name for name, each in MACHINE_TYPES.items() if not each.gpus))
        raise CannotApply(
            f"machineType is {machine_type!r}, which does not say which nodes have its {known.gpu}; "
            f"allowed on this cluster: one of {without}"
        )
    amount = {"cpu": str(known.cpus), "memory": f"{known.memory_gib}Gi"}
    return Placement(resources={"requests": amount, "limits": amount})
