"""The end of a log that may go on for ever, in a bounded number of bytes and parsed when it is over. Pure."""

from collections import deque
from typing import Final

from libs.common.cluster.kubernetes.logs import Parser
from libs.common.cluster.port import LogLine

_NEWLINE: Final = b"\n"


class LastLines:
    """Of one container, as its log comes in, from the first line of a time on.

    most_bytes: of the lines that are held, with their times; as many again for the one that is not ended yet.
    A line that is longer than that loses its end.
    """

    def __init__(self, replica_id: str, most_bytes: int) -> None:
        self.is_all = True
        """Whether every line that came in is held."""
        self._parser = Parser(replica_id)
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._held = 0
        """Bytes of them."""
        self._rest = bytearray()

    def take(self, wrote: bytes) -> None:
        begin, *others = wrote.split(_NEWLINE)
        self._go_on(begin)
        for line in others:
            self._end_line()
            self._go_on(line)

    def end(self, *, is_whole: bool = True) -> list[LogLine]:
        """Those that are held. Nothing is held after that. is_whole: whether the last one is a line as far as
        it was written."""
        wrote = _NEWLINE.join((*self._lines, self._rest))
        self._lines.clear()
        self._rest.clear()
        lines, last = self._parser.take(wrote), self._parser.end()
        return [*lines, *last] if is_whole else lines

    def _go_on(self, piece: bytes) -> None:
        self._rest += piece[: self._most_bytes - len(self._rest)]

    def _end_line(self) -> None:
        self._lines.append(bytes(self._rest))
        self._held += len(self._rest)
        self._rest.clear()
        while self._held > self._most_bytes and len(self._lines) > 1:
            dropped = self._lines.popleft()
            self._held -= len(dropped)
            self._parser.pass_over(dropped)
            self.is_all = False
