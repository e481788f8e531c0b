"""Room for ending replicas on a full disk: a file beside them, which is given up for that alone.

To end a replica takes a few small files, and a disk is often full by what replicas write. Whoever frees it by
deleting one must not fail for lack of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from libs.common.cluster.local.shim import files
from libs.common.disk import MIB, room_under, take_room

T = TypeVar("T")

SIZE: Final = 4 * MIB
NAME: Final = "reserve"


class Spare:
    """root: the directory of the local cluster, which is there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path = root / NAME

    def keep(self) -> None:
        """Take the room, where it is not taken and there is four times as much. Raises OSError."""
        if self._path.exists() or room_under(self._root).free < 4 * SIZE:
            return
        try:
            take_room(self._path, SIZE)
        except FileExistsError:
            return  # another process has just taken it
        except OSError as error:
            if error.errno not in files.FULL:
                raise

    def for_ending(self, work: Callable[[], T]) -> T:
        """Do what ends replicas, and may be done twice: on a full disk with the room of the reserve."""
        try:
            return work()
        except OSError as error:
            if error.errno not in files.FULL or not self._give_up():
                raise
            return work()

    def _give_up(self) -> bool:
        """Whether there was one."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
