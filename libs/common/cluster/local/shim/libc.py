"""The system calls that the standard library has no name for."""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.syscall.restype = ctypes.c_long

capget = _libc.capget
capset = _libc.capset


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """Raises OSError."""
    unused = ctypes.c_ulong(0)
    return checked(_libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(second), unused, unused))


def syscall(number: int, *arguments: Any) -> int:
    """A system call by its number. Raises OSError."""
    return checked(
        _libc.syscall(
            ctypes.c_long(number),
            *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments),
        )
    )


def mount(
    source: str | None, target: str, flags: int, *, kind: str | None = None, options: str | None = None
) -> None:
    """kind: of a new file system; without one it binds a directory, or changes how mounts propagate.
    options: of that kind. Raises OSError."""
    from_, of_kind, with_ = (None if each is None else os.fsencode(each) for each in (source, kind, options))
    checked(_libc.mount(from_, os.fsencode(target), of_kind, ctypes.c_ulong(flags), with_))


def unshare(flags: int) -> None:
    """Raises OSError."""
    checked(_libc.unshare(ctypes.c_int(flags)))


def setns(process: int, flags: int) -> None:
    """Enter these namespaces of a process, given by its descriptor. Raises OSError."""
    checked(_libc.setns(ctypes.c_int(process), ctypes.c_int(flags)))


def become_subreaper() -> None:
    """From now on the orphans among this process's descendants become its children."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def gain_no_privileges() -> None:
    """From now on no program that this process runs has more rights than it: set-user-id has no effect."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def free_front(descriptor: int, length: int) -> None:
    """Give the first `length` bytes of a file back to the disk; every offset in it stays what it was."""
    checked(_libc.fallocate(descriptor, _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE, 0, length))


def checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
