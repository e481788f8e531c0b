"""One measured number beside the limit from the same run, and what we want of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AtLeastOfLimit:
    """The value is this share of the limit, or more."""

    share: float

    def __str__(self) -> str:
        return f">= {self.share:g} of the limit"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The value is this, in its own unit, or more."""

    bound: float

    def __str__(self) -> str:
        return f">= {self.bound:g}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """The value is not above this, in its own unit."""

    bound: float

    def __str__(self) -> str:
        return f"<= {self.bound:g}"


Aim = AtLeastOfLimit | AtLeast | AtMost


@dataclass(frozen=True, slots=True)
class Figure:
    """limit: the peer's number or the bound from the same run, in the same unit, named by `limit_name`."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str | None = None
    aim: Aim | None = None

    @property
    def ratio(self) -> float | None:
        """Value over limit."""
        return self.value / self.limit if self.limit else None

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is reached; None where there is none."""
        match self.aim:
            case AtLeastOfLimit(share):
                if self.ratio is None:
                    raise ValueError(f"{self.name}: an aim that is a share of a limit needs the limit")
                return self.ratio >= share
            case AtLeast(bound):
                return self.value >= bound
            case AtMost(bound):
                return self.value <= bound
            case None:
                return None
