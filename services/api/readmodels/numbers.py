"""The number in force over time, from the specs and decisions of a deployment. Pure."""

from collections.abc import Sequence
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
    scale: Scale | None = None
    decided: Decided | None = None
    steps = [Step(begin, None)]
    for one in sorted(said, key=lambda one: one.sequence):
        at = one.at.timestamp()
        if at > end:
            break
        scale = scale if one.scale is None else one.scale
        decided = decided if one.decided is None else one.decided
        number = None if scale is None else in_force(scale, decided)
        if at <= begin:
            steps = [Step(begin, number)]
        elif number != steps[-1].number:
            steps.append(Step(at, number))
    return steps


def numbers_at(said: Sequence[Said], ends: Sequence[float]) -> list[int]:
    """The number in force at each of these times, which rise, in seconds since 1970; 0 before any spec.

    said: in any order.
    """
    waiting = sorted(said, key=lambda one: one.sequence, reverse=True)
    scale: Scale | None = None
    decided: Decided | None = None
    found = []
    for end in ends:
        while waiting and waiting[-1].at.timestamp() <= end:
            one = waiting.pop()
            scale = scale if one.scale is None else one.scale
            decided = decided if one.decided is None else one.decided
        found.append(0 if scale is None else in_force(scale, decided))
    return found
