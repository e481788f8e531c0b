"""Every benchmark there is, in the order in which they run."""

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from benchmarks.figure import Figure

Measure = Callable[..., Awaitable[list[Figure]]]
"""`async def measure(*, quick: bool = False) -> list[Figure]`; quick: fewer and shorter rounds."""

BENCHMARKS: Mapping[str, str] = MappingProxyType(
    {
        "append": "benchmarks.append",
        "commands": "benchmarks.commands",
        "replay": "benchmarks.replay",
        "endpoint": "benchmarks.endpoint",
        "change": "benchmarks.change",
        "route_change": "benchmarks.route_change",
        "probes": "benchmarks.probes",
        "footprint": "benchmarks.footprint",
        "scaling": "benchmarks.scaling",
    }
)
"""Name to module."""


def find(name: str) -> Measure:
    """The `measure` of a benchmark. Imported only now: most run without what the others need."""
    measure: Measure = import_module(BENCHMARKS[name]).measure
    return measure
