"""The port: what each process uses of each GPU. Pure data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One process on one GPU. gpu: its index on the machine. pid: as this process sees it.

    utilization_percent: of the whole GPU, on average since this was asked before; None where that is not
    known. memory_bytes: None where that is not known. most_memory_bytes: what the GPU has.
    """

    gpu: int
    pid: int
    utilization_percent: float | None = None
    memory_bytes: int | None = None
    most_memory_bytes: int | None = None


class Gpus(Protocol):
    def processes(self) -> Sequence[GpuProcess]:
        """Each process of which something is known; one that was idle uses 0.

        Empty where there is no driver, and where a GPU says nothing by process, as one that is divided (MIG).
        Never raises. It may take a tenth of a second, so it is asked in a thread, by one at a time.
        """
        ...
