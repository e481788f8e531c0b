"""Who applied or removed something lately, for whoever watches: a line for each, in one file of the home.

What a reader has not read yet it reads from where it was. A file that has grown too long is replaced by an
empty one, and a reader that finds another file knows no more than that something may have changed.
"""

import os
from pathlib import Path

LONGEST = 1024 * 1024
_REPLACED = f".{os.getpid()}.new"


class Journal:
    """A writer notes what it changed only after it is there, so whoever reads the note sees the change."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def note(self, deployment_id: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{deployment_id}\n".encode())
            is_long = os.fstat(descriptor).st_size > LONGEST
        finally:
            os.close(descriptor)
        if is_long:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """A note that another writer is just adding to the old file is lost, but not its change: whoever sees
        the new file looks at everything, and that writer's change was there before the new file was."""
        fresh = self._path + _REPLACED
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        Path(fresh).replace(self._path)


class Reader:
    """Notes that come after it was made. path: the journal's."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._file, self._end = self._at()

    def read(self) -> frozenset[str] | None:
        """The deployments noted since the last time; None when nobody can say which."""
        file, end = self._at()
        if (file, end) == (self._file, self._end):
            return frozenset()
        begin, is_same = self._end, file == self._file and end >= self._end
        self._file, self._end = file, end
        if not is_same:
            return None
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            lines = os.pread(descriptor, end - begin, begin)
            if os.fstat(descriptor).st_ino != file or not lines.endswith(b"\n"):
                return None
        finally:
            os.close(descriptor)
        return frozenset(lines.decode("ascii", "replace").split())

    def _at(self) -> tuple[int, int]:
        """Which file it is, and how long; 0 and 0 when somebody deleted it."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - ten times a second
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size
