"""Commands that check a replica: ordered by files, each carried out by a process of its own, a checker.

In the directory `checks` of the replica, which nothing of the replica can open:
- `<id>.order`   which attempt to check, with what, and for how long
- `<id>.answer`  a FIFO that whoever asks reads; it is gone as soon as there is a checker

The checker leads the check's processes: what they leave behind becomes its child, and is killed by it. It
ends the check when nobody waits for the answer any more.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress

from libs.common.cluster.local.shim import files, libc, mounts, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from libs.common.cluster.local.shim.confine import Confinement
    from libs.common.cluster.local.shim.process import Process

    Prepare = Callable[[list[str]], tuple[str, list[str], Mapping[str, str]]]
    """From a command to its file, its arguments and its environment. Raises CannotStart, ValueError."""

ORDER = ".order"
ANSWER = ".answer"
OUTPUT_LIMIT = 4 * 1024
"""Bytes of what a check writes that are kept; the rest is read and dropped."""
MOST = 8
"""Checkers of one replica at one time."""

_AT_ONCE = 64 * 1024


class Checks:
    """The checks of the replica in `directory`, which run as `confine` makes them."""

    def __init__(self, directory: str, prepare: Prepare, confine: Callable[[], Confinement]) -> None:
        self._folder = f"{directory}/{files.CHECKS}"
        self._prepare = prepare
        self._confine = confine
        self._checkers: list[int] = []

    def begin(self, checked: Process, attempt: int | None) -> None:
        """Begin whatever is ordered for this process, the replica's `attempt`; returns at once."""
        self._checkers = [each for each in self._checkers if not _has_ended(each)]
        for path in self._orders():
            order = files.read_json(path)
            with suppress(FileNotFoundError):
                os.unlink(path)
            answer = None if order is None else _opened(path.removesuffix(ORDER) + ANSWER)
            if order is None or answer is None:
                continue  # whoever asked waits no more
            try:
                if order["attempt"] != attempt:
                    _answer(answer, {"error": f"the process of attempt {order['attempt']} is gone"})
                elif len(self._checkers) >= MOST:
                    _answer(answer, {"error": f"{MOST} checks before it have not come to their end"})
                else:
                    self._checkers.append(self._leave_checker(answer, checked, order))
            finally:
                os.close(answer)

    def _orders(self) -> list[str]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return [f"{self._folder}/{name}" for name in sorted(names) if name.endswith(ORDER)]

    def _leave_checker(self, answer: int, checked: Process, order: dict[str, Any]) -> int:
        """Returns a descriptor of its process."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _close_all_but(answer, checked.fileno())
                libc.become_subreaper()
                _carry_out(answer, checked, order, self._prepare, self._confine)
                status = 0
            except BaseException:  # noqa: BLE001 - told where the shim's words go, and goes no further
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(status)
        return os.pidfd_open(pid)


def _has_ended(checker: int) -> bool:
    if not select.select([checker], [], [], 0)[0]:
        return False
    os.close(checker)
    return True


def _opened(path: str) -> int | None:
    """The FIFO to answer into, which nobody needs by name any more; None when nobody reads it."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _close_all_but(*kept: int) -> None:
    """What the shim has open says that it is there, and holds its locks and the replica's ports."""
    first = 3
    for each in sorted(kept):
        os.closerange(first, each)
        first = each + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _carry_out(
    answer: int,
    checked: Process,
    order: dict[str, Any],
    prepare: Prepare,
    confine: Callable[[], Confinement],
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        file, argv, env = prepare(order["command"])
        mounts.join(checked.pid, checked.fileno())
        confinement = confine()
        running = process.spawn(
            file, argv, env, log=writer, inherited=[], confinement=confinement, before_exec=lambda _: None
        )
    except process.CannotStart as error:
        _answer(answer, {"problem": error.message})
        return
    except ValueError as error:
        _answer(answer, {"problem": f"cannot start: {error}"})
        return
    except OSError as error:
        _answer(answer, {"error": f"cannot enter the replica's surroundings: {error}"})
        return
    os.close(writer)
    output, has_ended, is_wanted = _follow(running, reader, answer, order["timeout_s"])
    status, number = running.collect()  # kills its group
    if is_wanted:
        said = {"output": output.decode(errors="replace")}
        _answer(answer, {**said, **({"status": status, "signal": number} if has_ended else {})})
    os.close(answer)
    process.end_family()


def _follow(running: Process, reader: int, answer: int, timeout_s: float) -> tuple[bytes, bool, bool]:
    """What it wrote; whether it ended by itself in time; whether somebody still waits to be told."""
    output = b""
    events = select.poll()
    events.register(running, select.POLLIN)
    events.register(reader, select.POLLIN)
    events.register(answer, 0)  # says when nobody reads it any more
    until = time.monotonic() + timeout_s
    while (left_s := until - time.monotonic()) > 0:
        ready = dict(events.poll(min(left_s, 3600.0) * 1000))
        if reader in ready:
            read, is_over = _read(reader)
            output += read[: OUTPUT_LIMIT - len(output)]
            if is_over:
                events.unregister(reader)
        if answer in ready:
            return output, False, False
        if running.fileno() in ready:
            if reader in ready:  # what it wrote last may be behind what was read
                output += _read(reader)[0][: OUTPUT_LIMIT - len(output)]
            return output, True, True
    return output, False, True


def _read(reader: int) -> tuple[bytes, bool]:
    """What is there, and whether nothing more can come."""
    try:
        read = os.read(reader, _AT_ONCE)
    except BlockingIOError:
        return b"", False
    return read, not read


def _answer(answer: int, said: dict[str, Any]) -> None:
    """At most some 24 KiB. Nothing where nobody reads it any more."""
    left = json.dumps(said).encode()
    os.set_blocking(answer, True)
    with suppress(BrokenPipeError):
        while left:
            left = left[os.write(answer, left) :]
