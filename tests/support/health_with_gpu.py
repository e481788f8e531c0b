"""Health on a machine with two GPUs, which are the fake: each process uses a quarter of the second one.

Takes health's place by `SPECSTREAM_MODULE_HEALTH`.
"""

from collections.abc import Sequence

import uvloop

import libs.common.lean  # noqa: F401 - as health itself has it
from libs.common.cluster import opening
from libs.common.cluster.local.shim import proc
from libs.common.gpus.memory import MemoryGpus
from libs.common.gpus.port import GpuProcess
from services.health.app import run
from services.health.settings import Settings

WITH_GPU = {"SPECSTREAM_MODULE_HEALTH": __name__}
"""Settings of a platform that has it."""

PERCENT = 25.0


class Everybody(MemoryGpus):
    def processes(self) -> Sequence[GpuProcess]:
        return [GpuProcess(1, pid, PERCENT, 1024, 2**34) for pid in proc.pids()]


if __name__ == "__main__":
    opening.Nvml = Everybody  # type: ignore[misc,assignment]
    uvloop.run(run(Settings()))
