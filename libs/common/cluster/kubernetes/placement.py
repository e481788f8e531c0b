"""What a machine type is on a Kubernetes cluster. Pure."""

import math
from typing import Any, Final

from libs.common.cluster.kubernetes import names
from libs.common.errors import CannotApply
from libs.common.machine_types.catalogue import MachineType, MachineTypes

Part = dict[str, Any]

_SHM: Final = "shm"


def machine_type_of(name: str, machine_types: MachineTypes) -> MachineType:
    """Raises CannotApply for a type that is gone, and for one whose GPUs could be anywhere."""
    known = machine_types.get(name)
    if known is None:
        allowed = ", ".join(machine_types)
        raise CannotApply(f"machineType is {name!r}, which is gone; allowed: one of {allowed}")
    if not known.is_placed:
        allowed = ", ".join(each.name for each in machine_types.values() if each.is_placed) or "none"
        raise CannotApply(
            f"machineType is {name!r}, whose nodeSelector does not say which nodes have its GPUs; "
            f"allowed on this cluster: {allowed}"
        )
    return known


def make_resources(machine_type: MachineType) -> Part:
    """Of the container. GPUs and the disk have no smaller request: nobody shares the first, and what is
    written of the second is there at any time."""
    limits = {"cpu": _cores(machine_type.cpus), "memory": _gib(machine_type.memory_gib)}
    if machine_type.disk_gib is not None:
        limits["ephemeral-storage"] = _gib(machine_type.disk_gib)
    if machine_type.gpus:
        limits[machine_type.gpu_resource] = str(machine_type.gpus)
    requests = dict(limits)
    if machine_type.requests.cpus is not None:
        requests["cpu"] = _cores(machine_type.requests.cpus)
    if machine_type.requests.memory_gib is not None:
        requests["memory"] = _gib(machine_type.requests.memory_gib)
    return {"requests": requests, "limits": limits}


def make_placement(machine_type: MachineType, region: str | None) -> Part:
    """Of the pod: which nodes it may be on, and how it stands beside others there."""
    placement: Part = {"priorityClassName": machine_type.priority_class or names.PRIORITY_CLASS}
    nodes = {**machine_type.node_selector, **({} if region is None else {names.REGION: region})}
    if nodes:
        placement["nodeSelector"] = nodes
    if machine_type.tolerations:
        placement["tolerations"] = [
            toleration.model_dump(mode="json", by_alias=True, exclude_none=True)
            for toleration in machine_type.tolerations
        ]
    if machine_type.runtime_class is not None:
        placement["runtimeClassName"] = machine_type.runtime_class
    if machine_type.shm_gib is not None:
        size = {"medium": "Memory", "sizeLimit": _gib(machine_type.shm_gib)}
        placement["volumes"] = [{"name": _SHM, "emptyDir": size}]
    return placement


def make_mounts(machine_type: MachineType) -> Part:
    """Of the container."""
    if machine_type.shm_gib is None:
        return {}
    return {"volumeMounts": [{"name": _SHM, "mountPath": "/dev/shm"}]}  # noqa: S108 - the container's own


def _cores(cores: float) -> str:
    return str(int(cores)) if cores.is_integer() else f"{math.ceil(cores * 1000)}m"


def _gib(gib: float) -> str:
    return f"{int(gib)}Gi" if gib.is_integer() else f"{math.ceil(gib * 1024)}Mi"
