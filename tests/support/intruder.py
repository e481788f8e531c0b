"""A replica's command that tries to reach past its own folders, and then what a replica needs to work.

Standard library only: it also runs as a user who cannot read the checkout's environment. Told its targets by
the variable TARGETS, it prints one line of JSON: what each attempt came to, `done` or the name of the error.
"""

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))  # it is run by its path

from tests.support.confined_work import Attempts, checked, libc, needs, outcome, trace

_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_PROCESS_VM_READV, _PIDFD_GETFD = 310, 438
_PR_CAPBSET_READ = 23
_IOPRIO_SET, _IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 251, 1, 3 << 13
_SCHED_SETATTR, _KEYCTL, _BPF, _PERF_EVENT_OPEN, _USERFAULTFD = 314, 250, 321, 298, 323
_MOVE_PAGES, _KCMP = 279, 312
_KEYCTL_GET_KEYRING_ID, _KEY_SPEC_USER_KEYRING = 0, -4
_X32 = 0x40000000
_CLONE_NEWNET = 0x40000000


def main() -> None:
    told = json.loads(os.environ["TARGETS"])
    report = {
        "attacks": {name: outcome(attempt) for name, attempt in attacks(told).items()},
        "needs": {name: outcome(attempt) for name, attempt in needs(told).items()},
        "capabilities": [each for each in range(64) if libc.prctl(_PR_CAPBSET_READ, each, 0, 0, 0) == 1]
        if os.geteuid() == 0
        else [],
        "status": dict(
            line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
        ),
        "uid": os.geteuid(),
        "shared": {
            "files": os.listdir("/dev/shm"),
            "segment": outcome(lambda: checked(libc.shmget(told["segment"], 0, 0))),
        },
    }
    print(json.dumps(report), flush=True)
    signal.pause()


def attacks(told: dict) -> Attempts:
    home, replica, other = (Path(told[name]) for name in ("home", "replica", "other"))
    services = {"the service": told["service"], "the shim": told["shim"], "the other replica": told["victim"]}
    tried: Attempts = {
        "list the home": lambda: os.listdir(home),
        "list the replicas": lambda: os.listdir(replica.parent),
        "read a seed": (home / "nats/api.nk").read_bytes,
        "read the api key": (home / "api-key").read_bytes,
        "read the api key by a link": lambda: read_by_link(home / "api-key"),
        "read the api key by a hard link": lambda: os.link(home / "api-key", "taken"),
        "take the api key away": lambda: os.rename(home / "api-key", "taken"),
        "delete the api key": (home / "api-key").unlink,
        "cut off the api key": lambda: os.truncate(home / "api-key", 0),
        "write the api key": lambda: (home / "api-key").write_text("mine"),
        "write a new file into the home": lambda: (home / "new").write_text("x"),
        "write outside of the home": lambda: (home.parent / "new").write_text("x"),
        "write into /tmp": lambda: Path(f"/tmp/{os.getpid()}").write_text("x"),
        "open a setting of the kernel": lambda: os.close(
            os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)
        ),
        "read the other's folder": (other / "cwd/diary").read_bytes,
        "write the other's folder": lambda: (other / "cwd/diary").write_text("x"),
        "read the other's log": (other / "log").read_bytes,
        "wake the other's shim": lambda: os.open(other / "control", os.O_WRONLY | os.O_NONBLOCK),
        "read its own record": (replica / "record.json").read_bytes,
        "write its own state": lambda: (replica / "state.json").write_text("{}"),
        "order its own end": lambda: (replica / "stop").write_text("{}"),
        "put another log in place": lambda: replace_by(replica / "log"),
        "let others wait for a file that it may read": lambda: lease(Path(told["beside"])),
        "let others wait for its log": lambda: fcntl.fcntl(1, fcntl.F_SETLEASE, fcntl.F_WRLCK),
        "open a terminal": lambda: os.close(os.open("/dev/ptmx", os.O_RDWR)),
        "connect to an abstract socket": lambda: connect_abstract(told["abstract"]),
        "make a disk": lambda: os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(*told["disk"])),
        "mount": lambda: in_a_child(mounting(home, _CLONE_NEWNS)),
        "mount as root of a user namespace": lambda: in_a_child(
            mounting(home, _CLONE_NEWNS | _CLONE_NEWUSER)
        ),
    }
    for name, path in {
        "the home": home,
        "the api key": home / "api-key",
        "a file beside the home": Path(told["beside"]),
        "its own record": replica / "record.json",
        "the other's folder": other / "cwd",
    }.items():
        tried |= {
            f"change the mode of {name}": lambda path=path: path.chmod(0o777),
            f"change the times of {name}": lambda path=path: os.utime(path),
            f"change the owner of {name}": lambda path=path: os.chown(path, os.geteuid(), os.getegid()),
            f"change the attributes of {name}": lambda path=path: os.setxattr(path, "user.mine", b"x"),
        }
    tried["change the mode of a file that it may read"] = lambda: change_by_descriptor(told["beside"])
    tried |= {
        "make a user namespace": lambda: in_a_child(
            f"import ctypes; exit(ctypes.CDLL(None).unshare({_CLONE_NEWUSER}))"
        ),
        "make a network namespace": lambda: in_a_child(
            f"import ctypes; exit(ctypes.CDLL(None).unshare({_CLONE_NEWUSER | _CLONE_NEWNET}))"
        ),
        "see the keys of the kernel": lambda: system_call(
            _KEYCTL, _KEYCTL_GET_KEYRING_ID, _KEY_SPEC_USER_KEYRING, 1
        ),
        "run a program in the kernel": lambda: system_call(_BPF, 0, None, 0),
        "count events of the machine": lambda: system_call(_PERF_EVENT_OPEN, None, 0, -1, -1, 0),
        "handle page faults": lambda: os.close(system_call(_USERFAULTFD, 1)),
    }
    if os.uname().machine == "x86_64":
        tried["lower the limits of the service by the other set of calls"] = lambda: system_call(
            _X32 | 302, told["service"], resource.RLIMIT_CORE, limits(0), None
        )
    if os.geteuid() != 0:  # where it succeeds it meets every process of the user
        tried["slow down all that its user runs"] = lambda: os.setpriority(os.PRIO_USER, 0, 19)
    for number, disk in enumerate(told["disks"]):
        tried[f"read disk {number}"] = lambda disk=disk: os.close(os.open(disk, os.O_RDONLY))
    if os.geteuid() == 0:
        tried["listen to the network"] = lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()
        tried["change the root"] = lambda: in_a_child("import os; os.chroot('.')")
    for who, pid in services.items():
        tried |= {
            f"read the environment of {who}": Path(f"/proc/{pid}/environ").read_bytes,
            f"read the memory of {who}": lambda pid=pid: read_memory(pid),
            f"read the memory map of {who}": Path(f"/proc/{pid}/maps").read_bytes,
            f"copy memory of {who}": lambda pid=pid: copy_memory(pid),
            f"see an open file of {who}": lambda pid=pid: os.readlink(f"/proc/{pid}/fd/0"),
            f"take an open file of {who}": lambda pid=pid: take_descriptor(pid),
            f"look from the root of {who}": lambda pid=pid: os.listdir(f"/proc/{pid}/root/{home}"),
            f"trace {who}": lambda pid=pid: trace(pid),
            f"signal {who}": lambda pid=pid: os.kill(pid, 0),
            f"end {who}": lambda pid=pid: os.kill(pid, signal.SIGTERM),
            f"let {who} open no more files": lambda pid=pid: resource.prlimit(
                pid, resource.RLIMIT_NOFILE, (0, 0)
            ),
            f"end {who} by its time": lambda pid=pid: resource.prlimit(pid, resource.RLIMIT_CPU, (0, 0)),
            f"slow down {who}": lambda pid=pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
            f"run {who} when nothing else does": lambda pid=pid: os.sched_setscheduler(
                pid, os.SCHED_IDLE, os.sched_param(0)
            ),
            f"slow down {who} by attributes": lambda pid=pid: system_call(
                _SCHED_SETATTR, pid, ctypes.create_string_buffer(b"\x30", 48), 0
            ),
            f"slow down the disk of {who}": lambda pid=pid: system_call(
                _IOPRIO_SET, _IOPRIO_WHO_PROCESS, pid, _IOPRIO_IDLE
            ),
            f"move the memory of {who}": lambda pid=pid: system_call(
                _MOVE_PAGES, pid, 0, None, None, None, 0
            ),
            f"compare itself with {who}": lambda pid=pid: system_call(_KCMP, os.getpid(), pid, 0, 0, 0),
        }
    return tried


def system_call(number: int, *arguments: object) -> int:
    given = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return checked(libc.syscall(ctypes.c_long(number), *given))


def limits(most: int) -> ctypes.Array:
    return (ctypes.c_uint64 * 2)(most, most)


def change_by_descriptor(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(descriptor, 0o777)
    finally:
        os.close(descriptor)


def read_by_link(secret: Path) -> None:
    link = Path("link")
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    link.read_bytes()


def lease(path: Path) -> None:
    with path.open() as file:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)


def connect_abstract(name: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name}")


def replace_by(target: Path) -> None:
    Path("forged").write_text("x")
    os.rename("forged", target)


def in_a_child(code: str) -> None:
    """For what cannot be undone."""
    if subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0:
        raise PermissionError(errno.EPERM, "")


def mounting(home: Path, namespaces: int) -> str:
    return (
        "import ctypes, os, sys; libc = ctypes.CDLL(None)\n"
        f"os.makedirs('mounted', exist_ok=True)\n"
        f"if libc.unshare({namespaces}): sys.exit(2)\n"
        f"libc.mount(None, b'/', None, {_MS_REC | _MS_PRIVATE}, None)\n"
        f"if libc.mount({os.fsencode(home)!r}, b'mounted', None, {_MS_BIND}, None): sys.exit(3)\n"
        "os.listdir('mounted')"
    )


def read_memory(pid: int) -> None:
    os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))


def copy_memory(pid: int) -> None:
    buffer = ctypes.create_string_buffer(8)

    class Part(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    here = Part(ctypes.addressof(buffer), 8)
    there = Part(0x400000, 8)
    try:
        one, none = ctypes.c_long(1), ctypes.c_long(0)
        checked(libc.syscall(_PROCESS_VM_READV, pid, ctypes.byref(here), one, ctypes.byref(there), one, none))
    except OSError as error:
        if error.errno != errno.EFAULT:  # the address is not there; looking was allowed
            raise


def take_descriptor(pid: int) -> None:
    held = os.pidfd_open(pid)
    try:
        checked(libc.syscall(_PIDFD_GETFD, held, 0, 0))
    finally:
        os.close(held)


if __name__ == "__main__":
    main()
