"""Which of the measurements of replicas are samples. Pure.

What cannot be is left out and counted, never corrected: one mad number must not move a decision.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from libs.common.cluster.usage import Used, UsedGpu
from libs.common.metrics.samples import MOST, GpuUsage, ReplicaUsage

AHEAD_S: Final = 5.0
"""How far the clock of a source may be ahead of ours."""
JITTER: Final = 1.1
"""What the kernel counts comes in steps, and may be a little more than there is."""


class Dropped(StrEnum):
    NOT_FINITE = "not_finite"
    NEGATIVE = "negative"
    TOO_MUCH = "too_much"
    """More than the machine has, or than a sample can say."""
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Sifted:
    samples: tuple[ReplicaUsage, ...]
    dropped: Counter[Dropped]


def sift(measured: Iterable[Used], *, now: float) -> Sifted:
    """now: seconds since 1970. A sample is dropped as a whole: a source that is wrong in one number is not
    believed in the other. GPUs have a source of their own, and each is judged by itself."""
    samples: list[ReplicaUsage] = []
    dropped: Counter[Dropped] = Counter()
    for used in measured:
        if (reason := _wrong(used, now)) is not None:
            dropped[reason] += 1
        else:
            gpus = []
            for gpu in used.gpus:
                if (wrong := _wrong_of_gpu(gpu)) is not None:
                    dropped[wrong] += 1
                else:
                    gpus.append(_gpu(gpu))
            samples.append(_sample(used, tuple(gpus)))
    return Sifted(tuple(samples), dropped)


def _wrong(used: Used, now: float) -> Dropped | None:
    numbers = (used.ended_at, used.window_s, used.cpu_cores, used.memory_bytes)
    if (reason := _no_amounts(numbers)) is not None:
        return reason
    if used.ended_at > now + AHEAD_S:
        return Dropped.FUTURE
    if _exceeds(used.cpu_cores, used.most_cpus) or _exceeds(used.memory_bytes, used.most_memory_bytes):
        return Dropped.TOO_MUCH
    return None


def _wrong_of_gpu(gpu: UsedGpu) -> Dropped | None:
    if (reason := _no_amounts((gpu.utilization_percent, gpu.memory_bytes))) is not None:
        return reason
    if _exceeds(gpu.utilization_percent, 100.0) or _exceeds(gpu.memory_bytes, gpu.most_memory_bytes):
        return Dropped.TOO_MUCH
    return None


def _no_amounts(numbers: Iterable[float | None]) -> Dropped | None:
    known = [number for number in numbers if number is not None]
    if not all(map(math.isfinite, known)):
        return Dropped.NOT_FINITE
    if any(number < 0 for number in known):
        return Dropped.NEGATIVE
    return Dropped.TOO_MUCH if any(number > MOST for number in known) else None


def _exceeds(number: float | None, most: float | None) -> bool:
    return number is not None and most is not None and number > most * JITTER


def _sample(used: Used, gpus: tuple[GpuUsage, ...]) -> ReplicaUsage:
    """With no more digits than say something: a thousand of them are published every 15 seconds."""
    return ReplicaUsage(
        deployment_id=used.deployment_id,
        replica_id=used.replica_id,
        attempt=used.attempt,
        ended_at=round(used.ended_at, 3),
        window_s=round(used.window_s, 3),
        cpu_cores=None if used.cpu_cores is None else round(used.cpu_cores, 6),
        memory_bytes=None if used.memory_bytes is None else int(used.memory_bytes),
        cpus=used.cpus,
        memory_gib=used.memory_gib,
        gpus=gpus,
    )


def _gpu(gpu: UsedGpu) -> GpuUsage:
    use = gpu.utilization_percent
    return GpuUsage(
        gpu=gpu.gpu,
        utilization_percent=None if use is None else round(use, 2),
        memory_bytes=None if gpu.memory_bytes is None else int(gpu.memory_bytes),
    )
