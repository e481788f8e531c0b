"""The reserve: room beside the log that is given free when the disk is full, so that deleting goes on.

While the reserve is not whole, whatever asks for more is refused, and only what ends something is appended.
"""

from enum import StrEnum
from pathlib import Path

from libs.common.disk import MIB, Room

FILE = "reserve"
"""Beside the streams, so that it is always on the same file system."""


class Step(StrEnum):
    TAKE = "take"
    GIVE_FREE = "give_free"
    HOLD = "hold"


def path_in(log_directory: Path) -> Path:
    return log_directory / FILE


def is_held(log_directory: Path, size: int) -> bool:
    """Whether the reserve is there in full. It has no other size: it is taken whole or not at all."""
    try:
        return path_in(log_directory).stat().st_size == size
    except FileNotFoundError:
        return False


def low_water(size: int) -> int:
    """Less free room than this, in bytes, and the reserve is given free."""
    return size // 4


def next_step(room: Room, *, size: int, is_held: bool) -> Step:
    """What to do with a reserve of `size` bytes.

    | is_held | free                    | step      |
    |---------|-------------------------|-----------|
    | yes     | below size / 4          | give_free |
    | yes     | size / 4 and more       | hold      |
    | no      | below size + size / 2   | hold      |
    | no      | size + size / 2 or more | take      |

    After either step the free room is far from the mark of the other one.
    """
    if is_held:
        return Step.GIVE_FREE if room.free < low_water(size) else Step.HOLD
    return Step.TAKE if size > 0 and room.free >= size + size // 2 else Step.HOLD


FLOOR = MIB
"""Without a reserve, less free room than this counts as a full disk."""


def shortage(room: Room, *, size: int, is_held: bool) -> str:
    """Why nothing new is accepted, in one sentence; empty when it is."""
    if room.free >= (low_water(size) or FLOOR) and (is_held or size == 0):
        return ""
    degree = "full" if room.free < (low_water(size) or FLOOR) else "nearly full"
    return (
        f"the disk under the log is {degree}: {room}. Nothing new is accepted until "
        f"{(size + size // 2 or FLOOR) / MIB:.1f} MiB are free; deleting deployments still works"
    )
