"""A machine type as the API shows it."""

from pydantic import Field

from libs.common.machine_types.catalogue import MachineType
from services.api.edge.schemas.base import Answer


class MachineTypeAnswer(Answer):
    """`cpus` of cores, `memoryGib` in GiB, `gpus` that a replica has to itself. What is null is not given."""

    name: str
    cpus: float
    memory_gib: float
    disk_gib: float | None
    gpus: int
    gpu_resource: str | None = Field(description="What a node calls its GPUs; null without any.")
    shm_gib: float | None

    @staticmethod
    def of(machine_type: MachineType) -> "MachineTypeAnswer":
        return MachineTypeAnswer(
            name=machine_type.name,
            cpus=machine_type.cpus,
            memory_gib=machine_type.memory_gib,
            disk_gib=machine_type.disk_gib,
            gpus=machine_type.gpus,
            gpu_resource=machine_type.gpu_resource if machine_type.gpus else None,
            shm_gib=machine_type.shm_gib,
        )
