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
        "changes": "benchmarks.changes",
        "past": "benchmarks.past",
        "replay": "benchmarks.replay",
        "endpoint": "benchmarks.endpoint",
        "change": "benchmarks.change",
        "counting": "benchmarks.counting",
        "route_change": "benchmarks.route_change",
        "probes": "benchmarks.probes",
        "measurements": "benchmarks.measurements",
        "deciding": "benchmarks.deciding",
        "decisions": "benchmarks.decisions",
        "rising": "benchmarks.rising",
        "footprint": "benchmarks.footprint",
        "bulk": "benchmarks.bulk",
        "demos": "benchmarks.demos",
    }
)
"""Name to module."""

LONG: Mapping[str, str] = MappingProxyType(
    {
        "growth": "benchmarks.growth",
        "scaling": "benchmarks.scaling",
        "kubernetes": "benchmarks.kubernetes",
        "kubernetes_many": "benchmarks.kubernetes_many",
        "bulk_scale": "benchmarks.bulk_scale",
    }
)
"""Those that take long because of their size: for `make bench-scale`."""


def find(name: str) -> Measure:
    """The `measure` of a benchmark. Imported only now: most run without what the others need."""
    measure: Measure = import_module({**BENCHMARKS, **LONG}[name]).measure
    return measure
