"""What a dashboard is made of, and the queries that several of its panels ask. Pure data.

`$__rate_interval` is Grafana's: as long as a few scrapes.
"""

from dataclasses import dataclass
from typing import Final

RATE: Final = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Query:
    """expr: PromQL. legend: of each line, from its labels."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """unit: as Grafana names it. is_quiet: whether it has data only where something is amiss."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    is_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """name: its file, and the end of its uid. chooses: the label of which a person chooses one value, and
    the series that has all its values."""

    name: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    chooses: tuple[str, str] | None = None


def longest(series: str) -> Query:
    return Query(f"topk(10, max by (deployment_id) ({series}))", "{{deployment_id}}")


def sum_of_all(series: str) -> str:
    """While one copy takes over from another both may tell of a deployment."""
    return f"sum(max by (deployment_id) ({series}))"


def quantile(share: float, series: str, by: str, more: str = "") -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({series}_bucket{more}{RATE})))"


def durations(title: str, description: str, series: str, by: str) -> Panel:
    """How long something took: half of it, and 99 of 100."""
    shares = ((0.5, "half of them"), (0.99, "99 of 100"))
    queries = (Query(quantile(share, series, by), f"{{{{{by}}}}}, {words}") for share, words in shares)
    return Panel(title, description, "s", tuple(queries))
