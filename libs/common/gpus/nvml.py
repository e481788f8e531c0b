"""NVIDIA's GPUs, as their driver's library tells of them. The one place that imports `pynvml`."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from libs.common.clock import Ticks, monotonic
from libs.common.gpus.port import GpuProcess

logger = structlog.get_logger()

DEVICE: Final = Path("/dev/nvidiactl")
"""Is there where the driver is. Without it the library is not even imported, which takes 40 ms."""
RETRY_S: Final = 60.0
"""So long a driver that does not answer is left alone."""


def _pynvml() -> Any:
    import pynvml  # type: ignore[import-untyped]  # noqa: PLC0415

    return pynvml


class Nvml:
    """driver: what a driver shows there is one by. load: gives the module `pynvml`."""

    def __init__(
        self, *, driver: Path = DEVICE, load: Callable[[], Any] = _pynvml, ticks: Ticks = monotonic
    ) -> None:
        self._driver = driver
        self._load = load
        self._ticks = ticks
        self._nvml: Any = None
        self._away_until = 0.0
        self._seen_until: dict[int, int] = {}
        """Of each GPU: the time of the newest utilisation that was told, by the driver's clock."""

    def processes(self) -> Sequence[GpuProcess]:
        if not self._is_there():
            return []
        try:
            return [found for gpu in range(self._nvml.nvmlDeviceGetCount()) for found in self._of(gpu)]
        except self._nvml.NVMLError as error:
            self._is_away(error)
            return []

    def _is_there(self) -> bool:
        if self._nvml is not None:
            return True
        if self._ticks() < self._away_until or not self._driver.exists():
            return False
        nvml = self._load()
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            self._is_away(error)
            return False
        self._nvml = nvml
        self._seen_until.clear()
        return True

    def _is_away(self, error: Exception) -> None:
        """A driver that was renewed, or a GPU that fell off the bus: begun anew later."""
        logger.warning("what GPUs are used for is not known", error=str(error))
        self._nvml = None
        self._away_until = self._ticks() + RETRY_S

    def _of(self, gpu: int) -> Iterator[GpuProcess]:
        handle = self._nvml.nvmlDeviceGetHandleByIndex(gpu)
        memory = self._memory_by_process(handle)
        use = self._use_by_process(gpu, handle)
        if not memory and not use:
            return
        most = self._asked(self._nvml.nvmlDeviceGetMemoryInfo, handle)
        for pid in sorted(memory.keys() | (use or {}).keys()):
            yield GpuProcess(
                gpu,
                pid,
                utilization_percent=None if use is None else use.get(pid, 0.0),
                memory_bytes=memory.get(pid),
                most_memory_bytes=None if most is None else int(most.total),
            )

    def _memory_by_process(self, handle: Any) -> dict[int, int | None]:
        found: dict[int, int | None] = {}
        for ask in (
            self._nvml.nvmlDeviceGetComputeRunningProcesses,
            self._nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            for one in self._asked(ask, handle) or ():
                # One that computes and draws is told twice, each time with all that it has.
                found[one.pid] = max(found.get(one.pid) or 0, one.usedGpuMemory or 0) or None
        return found

    def _use_by_process(self, gpu: int, handle: Any) -> dict[int, float] | None:
        """On average since the last time; None where nobody knows, as at the first time."""
        since = self._seen_until.get(gpu)
        samples = self._asked(self._nvml.nvmlDeviceGetProcessUtilization, handle, since or 0)
        if samples is None:
            return None
        newer = [one for one in samples if one.timeStamp > (since or 0)]
        self._seen_until[gpu] = max((one.timeStamp for one in newer), default=since or 0)
        if since is None:
            return None
        by_process: dict[int, list[float]] = defaultdict(list)
        for one in newer:
            by_process[one.pid].append(float(one.smUtil))
        return {pid: sum(values) / len(values) for pid, values in by_process.items()}

    def _asked(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        """None where the driver does not tell; nothing new is an empty list."""
        nvml = self._nvml
        try:
            return ask(*arguments)
        except nvml.NVMLError as error:
            # Where nothing is running pynvml raises the driver's "success".
            if error.value in (nvml.NVML_SUCCESS, nvml.NVML_ERROR_NOT_FOUND):
                return []
            if error.value in (
                nvml.NVML_ERROR_NOT_SUPPORTED,
                nvml.NVML_ERROR_NO_PERMISSION,
                nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            ):
                return None
            raise
