"""One measured number beside the limit from the same run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """limit: the peer's number or the bound, named by `limit_name`. aim: what we want, in words."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str | None = None
    aim: str | None = None
