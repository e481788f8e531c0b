"""How far something long is: one line that is written over on a terminal, a line now and then elsewhere."""

import sys
from types import TracebackType
from typing import Self, TextIO

from libs.common.clock import Ticks, monotonic

AGAIN_AFTER_S = 2.0
"""Between two lines where nothing can be written over."""

_TO_THE_START = "\r\x1b[K"


class Telling:
    """`with` it: the line is gone at the end, and what comes then stands alone. stream: stderr by default."""

    def __init__(self, stream: TextIO | None = None, *, ticks: Ticks = monotonic) -> None:
        self._stream = stream or sys.stderr
        self._ticks = ticks
        self._is_terminal = self._stream.isatty()
        self._told = ""
        self._told_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_terminal and self._told:
            self._write(_TO_THE_START)

    def __call__(self, line: str) -> None:
        """How it stands now. The same again is told once."""
        if line == self._told:
            return
        now = self._ticks()
        if self._is_terminal:
            self._write(_TO_THE_START + line)
        elif self._told_at is None or now - self._told_at >= AGAIN_AFTER_S:
            self._write(line + "\n")
        else:
            return
        self._told, self._told_at = line, now

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
