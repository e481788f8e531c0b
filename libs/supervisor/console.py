"""What the supervisor says: short lines to the terminal, the same with the time in `logs/supervisor.log`."""

import sys
from typing import TextIO

from libs.common.clock import Clock, to_rfc3339, utc_now
from libs.supervisor.home import Home


class Console:
    """A terminal that went away stops getting lines; the log file still does, and the other way round."""

    def __init__(self, home: Home, *, stream: TextIO | None = None, clock: Clock = utc_now) -> None:
        self._path = home.log("supervisor")
        self._stream: TextIO | None = stream or sys.stdout
        self._clock = clock

    def say(self, line: str) -> None:
        try:
            with self._path.open("a") as log:
                log.write(f"{to_rfc3339(self._clock())} {line}\n")
        except OSError as error:  # a full disk must not end a platform that serves
            line = f"{line}  ({self._path}: {error.strerror})"
        if self._stream is None:
            return
        try:
            print(line, file=self._stream, flush=True)
        except OSError:  # the terminal or the pipe is gone, and with it the reader
            self._stream = None
