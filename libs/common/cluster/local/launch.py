"""Starting the shims of replicas, so that they outlive whoever started them."""

import os
import select
import subprocess
import threading
import weakref
from pathlib import Path
from typing import IO

from libs.common.cluster.local.shim import main as shim
from libs.common.errors import ClusterUnavailable

_ROOM = 1024
"""Bytes of an argument that each shim puts its replica's directory in, for `ps`."""
_ANSWERS_WITHIN_S = 30.0


class Starter:
    """Has a process of its own that forks the shims, from the first one on for as long as this object lives.

    python: runs it, and with it the shims.
    """

    def __init__(self, python: str) -> None:
        self._python = python
        self._alone = threading.Lock()
        self._line: _Line | None = None

    def launch(self, directory: Path) -> None:
        """Returns when the replica has a shim, whoever started it, or is gone. Blocks the thread, some 5 ms.

        Raises ClusterUnavailable; what the shim has to say about it is in `shim.err` beside the record.
        """
        with self._alone:
            answer = (self._line and self._line.ask(directory)) or self._ask_another(directory)
        if answer not in shim.ANSWERS:
            raise ClusterUnavailable(
                f"no shim for replica {directory.name}: {answer}: see {directory}/{shim.ERRORS}"
            )

    def _ask_another(self, directory: Path) -> str:
        """A new process, where there was none or it has ended."""
        self._line = None
        try:
            errors = (directory / shim.ERRORS).open("ab")
        except FileNotFoundError:
            return shim.PRESENT  # nothing is left to look after
        with errors:
            line = _Line(self._python, errors)
        if answer := line.ask(directory):
            self._line = line
        return answer or f"what starts it has ended, or does not answer in {_ANSWERS_WITHIN_S:.0f} s"


class _Line:
    """The starter's input and output. It ends when its input does: with this object, or with this process."""

    def __init__(self, python: str, errors: IO[bytes]) -> None:
        """errors: where it says why it cannot start."""
        its_input, self._questions = os.pipe()
        self._answers, its_output = os.pipe()
        self._close = weakref.finalize(self, _close, self._questions, self._answers)
        try:
            subprocess.run(
                [python, "-S", "-E", "-s", "-I", shim.__file__, " " * _ROOM],
                stdin=its_input,
                stdout=its_output,
                stderr=errors,
                env={},
                cwd="/",
                start_new_session=True,
                timeout=_ANSWERS_WITHIN_S,
                check=False,
            )
        finally:
            _close(its_input, its_output)

    def ask(self, directory: Path) -> str:
        """Its answer; empty when it has ended, or does not answer."""
        try:
            os.write(self._questions, os.fsencode(directory) + b"\n")
        except BrokenPipeError:
            return ""
        answer = b""
        while not answer.endswith(b"\n"):
            if not select.select([self._answers], [], [], _ANSWERS_WITHIN_S)[0]:
                return ""
            if not (read := os.read(self._answers, 4096)):
                return ""
            answer += read
        return answer.decode(errors="replace").strip()


def _close(*descriptors: int) -> None:
    for each in descriptors:
        os.close(each)
