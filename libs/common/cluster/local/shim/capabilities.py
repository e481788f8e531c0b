"""What root can do besides reading every file, and what of it a replica that root started keeps."""

import ctypes

from libs.common.cluster.local.shim import libc

CHOWN = 0
DAC_OVERRIDE = 1
FOWNER = 3
FSETID = 4
SETGID = 6
SETUID = 7
NET_BIND_SERVICE = 10
IPC_LOCK = 14

KEPT = (CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID, NET_BIND_SERVICE, IPC_LOCK)
"""What programs that are made for a container's root ask for: owners and modes of files, becoming a lesser
user, low ports, memory for a network card. Each acts on files, which Landlock bounds, or on the replica
itself. All others are given up: they reach other processes (SYS_PTRACE, KILL, SYS_NICE, SYS_ADMIN; PERFMON
and SYS_ADMIN open `/proc/<pid>/environ` past every other check), the machine (SYS_MODULE, SYS_RAWIO, BPF,
SYS_BOOT, SYS_TIME, SYSLOG), its network (NET_ADMIN; NET_RAW reads what others send over loopback), or files
past their directories (DAC_READ_SEARCH opens by handle, MKNOD makes a disk to read).
"""

_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_MOST = 64

_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def keep_only(kept: tuple[int, ...] = KEPT) -> None:
    """Give up every other capability, for this process and all that it starts, whatever it becomes.

    Who has none gives up none. Raises OSError.
    """
    header = _Header(_VERSION_3, 0)
    present = (_Data * 2)()
    libc.checked(libc.capget(ctypes.byref(header), present))
    if any(half.permitted for half in present):
        _bound(kept)
        for half, low in zip(present, (0, 32), strict=True):
            mask = sum(1 << (each - low) for each in kept if low <= each < low + 32)
            half.permitted &= mask
            half.effective &= mask
            half.inheritable &= mask
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        libc.checked(libc.capset(ctypes.byref(header), present))


def _bound(kept: tuple[int, ...]) -> None:
    """Take the others out of the bounding set, so that no program brings them back."""
    for each in range(_MOST):
        try:
            is_there = libc.prctl(_PR_CAPBSET_READ, each)
        except OSError:
            return  # the kernel knows no more
        if is_there and each not in kept:
            try:
                libc.prctl(_PR_CAPBSET_DROP, each)
            except PermissionError:
                return  # without SETPCAP; no privilege can be gained any more in any case
