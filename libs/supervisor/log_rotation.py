"""Bounds what programs write: each log has at most `KEPT` files of about `LIMIT` bytes.

A program keeps its file open, also while no supervisor lives, so the file itself stays and only its
beginning goes: copied to `<name>.log.1` and then taken off. The kernel takes it off without touching what is
written meanwhile (ext4, xfs); then a line may begin in `.1` and end in the log. Where a file system cannot do
that, the file is emptied right after the copy, and a line that is written in those microseconds is lost.
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

from libs.common.disk import MIB, room_under

LIMIT = 10 * MIB
KEPT = 5
"""Files of each program, the one that is written to among them."""

_COLLAPSE_RANGE = 0x08

_libc = ctypes.CDLL(None, use_errno=True)


def rotate_all(directory: Path, *, say: Callable[[str], None]) -> None:
    """Every log in `directory` that has grown too large; one that cannot be rotated is named."""
    for path in sorted(directory.glob("*.log")):
        try:
            rotate(path)
        except OSError as error:
            say(f"{path} cannot be rotated: {error}")


def rotate(path: Path, *, limit: int = LIMIT, kept: int = KEPT) -> bool:
    """Whether it had to be. What is older than `kept` files is dropped, and of a beginning that grew beyond
    twice the limit between two looks all but its last `limit` bytes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        if size < limit:
            return False
        draft = path.with_name(f"{path.name}.part")
        try:
            _rotate(path, descriptor, draft, size=size, limit=limit, kept=kept)
        finally:
            draft.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return True


def _rotate(path: Path, log: int, draft: Path, *, size: int, limit: int, kept: int) -> None:
    block = os.fstatvfs(log).f_bsize
    cut = (size - 1) // block * block
    copy = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        for oldest in range(kept - 1, 0, -1):  # room for the copy, if need be at the cost of the oldest
            if room_under(path.parent).free > min(size, limit) + MIB:
                break
            _numbered(path, oldest).unlink(missing_ok=True)
        _copy(log, copy, start=cut - limit if cut > 2 * limit else 0, end=cut)
        for number in range(kept - 1, 1, -1):
            younger = _numbered(path, number - 1)
            if younger.exists():
                younger.replace(_numbered(path, number))
        draft.replace(_numbered(path, 1))
        # Only now: a supervisor that dies in between has lines twice, not none.
        if not _is_collapsed(log, cut):
            _copy(log, copy, start=cut, end=None)
            os.ftruncate(log, 0)
    finally:
        os.close(copy)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _copy(source: int, target: int, *, start: int, end: int | None) -> None:
    while end is None or start < end:
        done = os.sendfile(target, source, start, MIB if end is None else min(MIB, end - start))
        if done == 0:
            return
        start += done


def _is_collapsed(descriptor: int, length: int) -> bool:
    if length == 0:
        return False
    result = _libc.fallocate(descriptor, _COLLAPSE_RANGE, ctypes.c_long(0), ctypes.c_long(length))
    return int(result) == 0
