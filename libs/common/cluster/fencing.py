"""Which plan may follow which. Pure."""

from libs.common.errors import Fenced
from libs.common.events.envelope import Position

Fence = Position | int
"""The event that a plan rests on; a bare sequence where its log is not known."""


def position(fence: Fence) -> Position:
    return Position(fence) if isinstance(fence, int) else fence


def admit(recorded: Position, fence: Position) -> None:
    """Raises Fenced when a plan that rests on `fence` must not follow one that rests on `recorded`.

    | recorded                            | answer                                                        |
    |-------------------------------------|---------------------------------------------------------------|
    | nothing                             | admitted                                                      |
    | of the same log, or of unknown logs | admitted from that sequence on                                |
    | of another log                      | refused: only who asks the log knows which of the two it is   |
    """
    if recorded.sequence == 0:
        return
    is_other_log = "" not in (recorded.log, fence.log) and recorded.log != fence.log
    if fence.sequence < recorded.sequence or is_other_log:
        before = "of another log" if is_other_log else f"that rests on {recorded}"
        raise Fenced(f"the plan rests on event {fence}; one {before} was applied before", by=recorded)
