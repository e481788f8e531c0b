"""A mount namespace of a process's own, in which everything but its own directories is read-only, and some
are empty and its own; so is what System V shares between processes.

Landlock says nothing about modes, owners, times and extended attributes of files: who owns a file may change
them, whatever he may not open. On a read-only mount nobody may. Root makes the namespace as it is; any other
user needs a user namespace around it, in which he stays who he is.
"""

import ctypes
import os
from collections.abc import Iterable, Sequence

from libs.common.cluster.local.shim import libc

_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_MS_NOSUID, _MS_NODEV = 1 << 1, 1 << 2
_MS_BIND, _MS_REC, _MS_SLAVE = 1 << 12, 1 << 14, 1 << 19
_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY = 1


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def leave_writable(own: Sequence[str], *, in_memory: Iterable[str], memory_bytes: int | None = None) -> None:
    """For this process and all that it starts, everything but these directories is read-only from now on.

    own: it shares them with the machine. in_memory: it has them for itself, empty, until the last process of
    the namespace has ended; one that the machine does not have is left out. memory_bytes: what each of
    these has room for; None for half of the machine's memory.
    The process must have one thread and hold no directory open: through that it would reach the mounts of
    before. What is mounted or unmounted later for the whole machine is so here too.
    Raises OSError where that cannot be had; the process is then what it was, or in a namespace like before.
    """
    _enter_namespace()
    libc.mount(None, "/", _MS_REC | _MS_SLAVE)
    present = [path for path in in_memory if os.path.isdir(path)]
    for path in own:
        libc.mount(path, path, _MS_BIND)
    for path in present:
        size = None if memory_bytes is None else f"size={max(1, memory_bytes)}"
        libc.mount("tmpfs", path, _MS_NOSUID | _MS_NODEV, kind="tmpfs", options=size)
    _set_attributes("/", _MountAttr(attr_set=_MOUNT_ATTR_RDONLY), recursive=True)
    for path in (*own, *present):
        _set_attributes(path, _MountAttr(attr_clr=_MOUNT_ATTR_RDONLY), recursive=False)


def join(pid: int, process: int) -> None:
    """Enter what `leave_writable` made for another process, as far as it has namespaces of its own.

    process: its descriptor, so that no other one is taken for it. This process must have one thread.
    Raises OSError.
    """
    kinds = (("user", _CLONE_NEWUSER), ("mnt", _CLONE_NEWNS), ("ipc", _CLONE_NEWIPC))
    flags = 0
    for name, flag in kinds:
        if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
            flags |= flag
    if flags:
        libc.setns(process, flags)


def _enter_namespace() -> None:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC)
        return
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWIPC)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _set_attributes(path: str, attributes: _MountAttr, *, recursive: bool) -> None:
    libc.syscall(
        _MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(path),
        _AT_RECURSIVE if recursive else 0,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )


def can_be_had() -> bool:
    """Whether this user may have such a namespace here. To be asked by a process that ends afterwards."""
    try:
        leave_writable([], in_memory=["/dev/shm"])  # noqa: S108 - nothing is written to it
    except OSError:
        return False
    return True
