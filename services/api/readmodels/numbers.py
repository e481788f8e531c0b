"""The number in force over time, from the specs and decisions of a deployment. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.common.scaling.in_force import Decided, Scale, in_force


@dataclass(frozen=True, slots=True)
class Said:
    """A spec was registered, or a number decided, at that time. Exactly one of both is there."""

    sequence: int
    at: datetime
    scale: Scale | None = None
    decided: Decided | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """From then on, in seconds since 1970. number: None before any spec."""

    at: float
    number: int | None


def steps_between(said: Sequence[Said], begin: float, end: float) -> list[Step]:
    """The number in force at the beginning, and each change of it after that, up to the end.

    said: in any order.
    """
    steps = [Step(begin, None)]
    for one in _told(said):
        if one.at > end:
            break
        if one.at <= begin:
            steps = [Step(begin, one.number)]
        elif one.number != steps[-1].number:
            steps.append(one)
    return steps


def numbers_at(said: Sequence[Said], ends: Sequence[float]) -> list[int]:
    """The number in force at each of these times, which rise, in seconds since 1970; 0 before any spec.

    said: in any order.
    """
    waiting = list(_told(said))[::-1]
    number: int | None = None
    found = []
    for end in ends:
        while waiting and waiting[-1].at <= end:
            number = waiting.pop().number
        found.append(number or 0)
    return found


def _told(said: Sequence[Said]) -> Iterator[Step]:
    """The number in force after each, in the order of the log."""
    scale: Scale | None = None
    decided: Decided | None = None
    for one in sorted(said, key=lambda one: one.sequence):
        scale = scale if one.scale is None else one.scale
        decided = decided if one.decided is None else one.decided
        yield Step(one.at.timestamp(), None if scale is None else in_force(scale, decided))
