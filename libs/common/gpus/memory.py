"""The port over nothing but memory, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from libs.common.gpus.port import GpuProcess


@dataclass(slots=True)
class MemoryGpus:
    """memory_bytes: of each of its GPUs. has_driver, is_divided: without one, or with all divided, nothing is
    known."""

    memory_bytes: Sequence[int] = (16 * 1024**3,)
    has_driver: bool = True
    is_divided: bool = False
    _used: dict[tuple[int, int], GpuProcess] = field(default_factory=dict)

    def use(self, pid: int, *, gpu: int = 0, utilization_percent: float = 0.0, memory_bytes: int = 0) -> None:
        """From now on."""
        self._used[gpu, pid] = GpuProcess(gpu, pid, utilization_percent, memory_bytes, self.memory_bytes[gpu])

    def end(self, pid: int) -> None:
        self._used = {key: one for key, one in self._used.items() if key[1] != pid}

    def processes(self) -> Sequence[GpuProcess]:
        if not self.has_driver or self.is_divided:
            return []
        return list(self._used.values())
