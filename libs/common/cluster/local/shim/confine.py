"""What a replica's process may reach: its own folders, the devices it computes with, and the rest of the
machine to read and to execute; nothing of the platform's home, and no process but those it started.

Landlock refuses to open files, to signal and to trace. What it does not govern is refused by a mount
namespace in which all but the replica's own is read-only, and by a filter of system calls.

Landlock only ever allows, and what is allowed for a directory is allowed for all beneath it. So the rest of
the machine is named entry by entry along the way to the home; a directory on that way cannot be listed, and
what is put into one while the replica runs is not there for it until it is started again.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from libs.common.cluster.local.shim import capabilities, landlock, libc, mounts, seccomp
from libs.common.cluster.local.shim.landlock import Ruleset

READ = landlock.READ_FILE | landlock.READ_DIR | landlock.EXECUTE
OWN = (
    READ
    | landlock.WRITE_FILE
    | landlock.TRUNCATE
    | landlock.REMOVE_DIR
    | landlock.REMOVE_FILE
    | landlock.MAKE_DIR
    | landlock.MAKE_REG
    | landlock.MAKE_SOCK
    | landlock.MAKE_FIFO
    | landlock.MAKE_SYM
    | landlock.REFER
)
DEVICE = landlock.READ_FILE | landlock.READ_DIR | landlock.WRITE_FILE | landlock.TRUNCATE | landlock.IOCTL_DEV
FILE = landlock.READ_FILE | landlock.WRITE_FILE | landlock.TRUNCATE

DEVICES = ("null", "zero", "full", "random", "urandom")
ACCELERATORS = ("nvidia", "dri", "kfd", "dxg", "accel", "infiniband", "gdrdrv", "hl", "neuron")
"""How the names of GPUs and their like begin, and of the network cards that write into them. All other
devices stay closed: a disk that root can read holds the home, and a terminal what its owner types."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a directory to allow, nothing is written to it here

UNCONFINED = (
    "replicas are not confined: this kernel has no Landlock (5.13 and later have it, if it is switched on). "
    "They can read the platform's keys and change its files"
)
NO_MOUNTS = (
    "replicas can change modes and times of files of the platform's user, also in the home: the platform may "
    "make no mount namespace here. That needs Linux 5.12 or later, and CAP_SYS_ADMIN for root, or for any "
    "other user that user namespaces are allowed (kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns)"
)
NO_FILTER = (
    "replicas can change the limits and the priority of processes of the platform's user, and so end "
    "services: there is no filter of system calls for this machine's processor"
)


def notices() -> tuple[str, ...]:
    """What an operator has to know about the confinement here. The first time it starts a process to ask."""
    return lacking(landlock.version(), has_mounts=_may_have_mounts(), has_filter=seccomp.is_possible())


def lacking(version: int, *, has_mounts: bool, has_filter: bool) -> tuple[str, ...]:
    """What is to be known about a confinement that is not whole. version: of Landlock. Pure."""
    said = []
    if not version:
        said.append(UNCONFINED)
    elif missing := landlock.missing(version):
        said.append(f"replicas are confined in part, this kernel's Landlock is old: {'; '.join(missing)}")
    if not has_mounts:
        said.append(NO_MOUNTS)
    if not has_filter:
        said.append(NO_FILTER)
    return tuple(said)


@cache
def _may_have_mounts() -> bool:
    import subprocess  # noqa: PLC0415 - a shim never asks

    asked = [sys.executable, "-S", "-E", "-s", "-I", os.path.join(os.path.dirname(__file__), "try_mounts.py")]
    return subprocess.run(asked, check=False, capture_output=True).returncode == 0


class Confinement:
    """Made before the process, entered by it before it runs its command.

    has_mounts: whether it is in a mount namespace like that already.
    private: the directory of which it sees nothing but its own folder. own, writable: this folder, and
    files of its own outside of it. programs: directories to read and execute also if they are in `private`.
    shared_memory_bytes: what its `/dev/shm` has room for; None for half of the machine's memory.
    """

    def __init__(
        self,
        *,
        private: str,
        own: str,
        writable: Iterable[str],
        programs: Iterable[str] = (),
        has_mounts: bool = False,
        shared_memory_bytes: int | None = None,
    ) -> None:
        """Raises OSError."""
        version = landlock.version()
        self._ruleset = Ruleset(version) if version else None
        self._private = os.path.realpath(private)
        self._own = own
        self._has_mounts = has_mounts
        self._shared_memory_bytes = shared_memory_bytes
        try:
            self._allow_the_rest()
            for path in map(os.path.realpath, programs):
                if path.startswith(f"{self._private}/"):
                    self._allow_private(path, READ)
            self._allow_private(own, OWN)
            for path in writable:
                self._allow_private(path, FILE)
        except OSError:
            self.close()
            raise

    def _allow_the_rest(self) -> None:
        for name in self._names("/"):
            if name != "dev":
                self._allow(f"/{name}", READ)
        self._allow("/dev", landlock.READ_DIR)
        for name in self._names("/dev"):
            if name in DEVICES or name.startswith(ACCELERATORS):
                self._allow(f"/dev/{name}", DEVICE)

    def _allow(self, path: str, rights: int) -> None:
        """For the path and all beneath it, but nothing that is private."""
        if self._private == path or self._private.startswith(f"{path}/"):
            if self._private != path:
                for name in self._names(path):
                    self._allow(f"{path}/{name}", rights)
            return
        try:
            self._allow_private(path, rights)
        except OSError:
            return  # it went meanwhile, or its file system is away: what is not allowed is refused

    def _allow_private(self, path: str, rights: int) -> None:
        if self._ruleset is not None:
            self._ruleset.allow(path, rights)

    def _names(self, directory: str) -> list[str]:
        try:
            return os.listdir(directory)
        except OSError:
            return []  # not to be listed by the platform's user: what is not allowed is refused

    def enter(self) -> None:
        """Raises OSError: then the process must not run anything.

        It must have one thread and no directory open; its working directory is its own folder afterwards.
        """
        libc.gain_no_privileges()
        if not self._has_mounts:
            with suppress(OSError):  # not allowed here, which `notices` says
                mounts.leave_writable(
                    [self._own], in_memory=[SHARED_MEMORY], memory_bytes=self._shared_memory_bytes
                )
        # What is allowed is a file system's directory, not a path: so this comes after its mount.
        self._allow(SHARED_MEMORY, OWN)
        os.chdir(self._own)
        capabilities.keep_only()
        if self._ruleset is not None:
            self._ruleset.enforce()
        seccomp.enforce()

    def close(self) -> None:
        if self._ruleset is not None:
            self._ruleset.close()
