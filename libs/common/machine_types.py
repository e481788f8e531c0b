"""Machine types: named bundles of GPU, CPU and memory. The names are the reference system's. Pure."""

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class MachineType:
    """`memory_gib` and `gpu_memory_gib` in GiB; `gpu` is the product name or None."""

    name: str
    cpus: int
    memory_gib: int
    gpu: str | None = None
    gpus: int = 0
    gpu_memory_gib: int = 0


_BUNDLED = (
    MachineType("C2", 1, 2),
    MachineType("C3", 2, 4),
    MachineType("C4", 2, 8),
    MachineType("C5", 4, 8),
    MachineType("C6", 8, 16),
    MachineType("C7", 12, 30),
    MachineType("C8", 16, 60),
    MachineType("C9", 24, 120),
    MachineType("C10", 32, 244),
    MachineType("M4000", 8, 30, "M4000", 1, 8),
    MachineType("P4000", 8, 30, "P4000", 1, 8),
    MachineType("P4000x2", 16, 60, "P4000", 2, 8),
    MachineType("P4000x4", 32, 120, "P4000", 4, 8),
    MachineType("P5000", 8, 30, "P5000", 1, 16),
    MachineType("P5000x2", 16, 60, "P5000", 2, 16),
    MachineType("P5000x4", 32, 120, "P5000", 4, 16),
    MachineType("P6000", 8, 30, "P6000", 1, 24),
    MachineType("P6000x2", 16, 60, "P6000", 2, 24),
    MachineType("P6000x4", 32, 120, "P6000", 4, 24),
    MachineType("RTX4000", 8, 30, "RTX4000", 1, 8),
    MachineType("RTX4000x2", 16, 60, "RTX4000", 2, 8),
    MachineType("RTX4000x4", 32, 120, "RTX4000", 4, 8),
    MachineType("RTX5000", 8, 30, "RTX5000", 1, 16),
    MachineType("RTX5000x2", 16, 60, "RTX5000", 2, 16),
    MachineType("RTX5000x4", 32, 120, "RTX5000", 4, 16),
    MachineType("A4000", 8, 45, "A4000", 1, 16),
    MachineType("A4000x2", 16, 90, "A4000", 2, 16),
    MachineType("A4000x4", 32, 180, "A4000", 4, 16),
    MachineType("A5000", 8, 45, "A5000", 1, 24),
    MachineType("A5000x2", 16, 90, "A5000", 2, 24),
    MachineType("A5000x4", 32, 180, "A5000", 4, 24),
    MachineType("A6000", 8, 45, "A6000", 1, 48),
    MachineType("A6000x2", 16, 90, "A6000", 2, 48),
    MachineType("A6000x4", 32, 180, "A6000", 4, 48),
    MachineType("V100", 8, 30, "V100", 1, 16),
    MachineType("V100-32G", 8, 30, "V100", 1, 32),
    MachineType("V100-32Gx2", 16, 60, "V100", 2, 32),
    MachineType("V100-32Gx4", 32, 120, "V100", 4, 32),
    MachineType("A100", 12, 90, "A100", 1, 40),
    MachineType("A100-80G", 12, 90, "A100", 1, 80),
    MachineType("A100-80Gx2", 24, 180, "A100", 2, 80),
    MachineType("A100-80Gx4", 48, 360, "A100", 4, 80),
    MachineType("A100-80Gx8", 96, 640, "A100", 8, 80),
    MachineType("H100", 20, 250, "H100", 1, 80),
    MachineType("H100x8", 128, 1638, "H100", 8, 80),
)

MACHINE_TYPES = MappingProxyType({m.name: m for m in _BUNDLED})
"""Every machine type a spec may name. Free-tier types are left out on purpose."""
