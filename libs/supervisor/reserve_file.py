"""The reserve on the disk: taken while there is room, given free when there is none."""

from pathlib import Path

from libs.common.disk import MIB, Room, room_under, take_room
from libs.common.log import reserve
from libs.common.log.reserve import Step


class Reserve:
    """size: in bytes; 0 keeps none. log_directory: what the streams lie in."""

    def __init__(self, log_directory: Path, *, size: int) -> None:
        self._directory = log_directory
        self._path = reserve.path_in(log_directory)
        self._size = size

    def room(self) -> Room:
        return room_under(self._directory)

    def make_room(self) -> str:
        """Give it free where the disk is full; nothing is written. What was done, in words."""
        is_held = self._size > 0 and reserve.is_held(self._directory, self._size)
        if is_held and reserve.next_step(self.room(), size=self._size, is_held=True) is Step.GIVE_FREE:
            return self._give_free()
        return ""

    def settle(self) -> str:
        """Take it or give it free, as the room wants it; what was done, in words, empty for nothing.

        Raises OSError when the directory cannot be used.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_held = self._size > 0 and reserve.is_held(self._directory, self._size)
        if not is_held:  # of another size after the setting has changed, or taken only in part
            self._path.unlink(missing_ok=True)
        room = self.room()
        match reserve.next_step(room, size=self._size, is_held=is_held):
            case Step.GIVE_FREE:
                return self._give_free()
            case Step.TAKE:
                take_room(self._path, self._size)
                return f"disk       {room} under the log; {self._size // MIB} MiB are kept in reserve"
            case Step.HOLD:
                return ""

    def _give_free(self) -> str:
        room = self.room()
        self._path.unlink()
        return (
            f"the disk under the log is full: {room}; gave the reserve of {self._size // MIB} MiB "
            "free. Nothing new is accepted until there is room, deleting deployments still works"
        )
