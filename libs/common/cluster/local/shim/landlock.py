"""Landlock: a process gives up, for itself and all that it starts, every access that no rule allows.

It needs no privilege. What a kernel can refuse has grown with the version of its interface; what an older one
does not know is left out here and named by `missing`.
"""

import ctypes
import os
import stat

from libs.common.cluster.local.shim import libc

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule on anything but a directory can have."""

_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
_SCOPE_SIGNAL = 1 << 1

_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

# `REFER - 1`: all that stand before it, MAKE_CHAR and MAKE_BLOCK too, which no rule allows.
_RIGHTS_SINCE = ((1, REFER - 1), (2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))
_SCOPES_SINCE = 6

_LACKING_BEFORE = (
    (2, "a replica can move no file from one directory to another"),
    (3, "a replica can cut off files of the platform's user"),
    (6, "a replica can send signals to processes of the platform's user"),
)
"""What a kernel whose version is lower does not do."""


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def version() -> int:
    """Of the kernel's interface; 0 when there is none, or it is switched off."""
    try:
        return libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def missing(present: int) -> tuple[str, ...]:
    """What a Landlock of this version, not 0, leaves open of what a newer one closes. Pure."""
    return tuple(what for needed, what in _LACKING_BEFORE if present < needed)


class Ruleset:
    """What a process will still be allowed to do. Nothing, before the first rule."""

    def __init__(self, present: int) -> None:
        """present: the version of the kernel's interface. Raises OSError."""
        self._handled = sum(rights for since, rights in _RIGHTS_SINCE if present >= since)
        scoped = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL if present >= _SCOPES_SINCE else 0
        wanted = _RulesetAttr(self._handled, 0, scoped)
        self._descriptor = libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), ctypes.sizeof(wanted), 0)

    def allow(self, path: str, rights: int) -> None:
        """These rights to the file, or to the directory and all beneath it; of a link, to the link alone.

        Raises OSError.
        """
        place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= OF_A_FILE
            if rights := rights & self._handled:
                rule = _PathBeneathAttr(rights, place)
                libc.syscall(_ADD_RULE, self._descriptor, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
        finally:
            os.close(place)

    def enforce(self) -> None:
        """On this process from now on; it must have given up gaining privileges. Raises OSError."""
        libc.syscall(_RESTRICT_SELF, self._descriptor, 0)

    def close(self) -> None:
        os.close(self._descriptor)
