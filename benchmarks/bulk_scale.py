"""As `bulk`, with a log as it is after years: its time grows with the log, its memory must not."""

from benchmarks.bulk import measure_of
from benchmarks.figure import Figure

EVENTS = 1_000_000
QUICK_EVENTS = 200_000


async def measure(*, quick: bool = False) -> list[Figure]:
    return await measure_of(QUICK_EVENTS if quick else EVENTS)
