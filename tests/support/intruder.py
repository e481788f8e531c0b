"""A replica's command that tries to reach past its own folders, and then what a replica needs to work.

Standard library only: it also runs as a user who cannot read the checkout's environment. Told its targets by
the variable TARGETS, it prints one line of JSON: what each attempt came to, `done` or the name of the error.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import Semaphore, shared_memory
from pathlib import Path

Attempts = dict[str, Callable[[], object]]

_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_PROCESS_VM_READV, _PIDFD_GETFD = 310, 438
_PR_CAPBSET_READ = 23


def main() -> None:
    told = json.loads(os.environ["TARGETS"])
    report = {
        "attacks": {name: outcome(attempt) for name, attempt in attacks(told).items()},
        "needs": {name: outcome(attempt) for name, attempt in needs(told).items()},
        "capabilities": [each for each in range(64) if _libc.prctl(_PR_CAPBSET_READ, each, 0, 0, 0) == 1]
        if os.geteuid() == 0
        else [],
        "status": dict(
            line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line
        ),
        "uid": os.geteuid(),
    }
    print(json.dumps(report), flush=True)
    signal.pause()


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return repr(error)
    return "done"


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
        "open a terminal": lambda: os.close(os.open("/dev/ptmx", os.O_RDWR)),
        "connect to an abstract socket": lambda: connect_abstract(told["abstract"]),
        "make a disk": lambda: os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(*told["disk"])),
        "mount": lambda: in_a_child(mounting(home, _CLONE_NEWNS)),
        "mount as root of a user namespace": lambda: in_a_child(
            mounting(home, _CLONE_NEWNS | _CLONE_NEWUSER)
        ),
    }
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
        }
    return tried


def needs(told: dict) -> Attempts:
    temporary = Path(os.environ["TMPDIR"])
    return {
        "write its own folder": lambda: write_own(Path.cwd()),
        "list its own folder": lambda: os.listdir("."),
        "write the temporary folder": lambda: write_own(temporary),
        "use a temporary file": tempfile.TemporaryFile().close,
        "move from one to the other": lambda: move(Path("moved"), temporary / "moved"),
        "bind a socket in the temporary folder": lambda: bind_unix(temporary / "socket"),
        "make a program of its own and run it": run_own,
        "run python": lambda: run(sys.executable, "-c", "import json, ssl, sqlite3"),
        "run a shell": lambda: run("sh", "-c", "ls /usr/bin | head -n 1"),
        "read a file of the system": Path("/etc/passwd").read_bytes,
        "read certificates": lambda: os.listdir("/etc/ssl"),
        "read the checkout": Path(__file__).read_bytes,
        "read a file beside the home": Path(told["beside"]).read_bytes,
        "read from the system's temporary directory": Path(told["in_tmp"]).read_bytes,
        "write to /dev/null": lambda: Path("/dev/null").write_text("x"),
        "append to /dev/null": lambda: run("sh", "-c", "echo x > /dev/null && echo x >> /dev/null"),
        "read /dev/urandom": lambda: os.close(os.open("/dev/urandom", os.O_RDONLY)),
        "share memory": share_memory,
        "use a semaphore": lambda: Semaphore(1).acquire(),
        "write to /dev/stderr": lambda: run("sh", "-c", "echo to stderr >> /dev/stderr"),
        "listen on its port": lambda: listen(int(os.environ["PORT"])),
        "connect to another program": lambda: socket.create_connection(("127.0.0.1", told["port"])).close(),
        "read its own environment": Path("/proc/self/environ").read_bytes,
        "signal its own group": lambda: os.killpg(0, 0),
        "end its own child": lambda: with_child(lambda pid: os.kill(pid, signal.SIGKILL)),
        "trace its own child": lambda: with_child(trace),
        "read its own child's environment": lambda: with_child(
            lambda pid: Path(f"/proc/{pid}/environ").read_bytes()
        ),
    }


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def read_by_link(secret: Path) -> None:
    link = Path("link")
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    link.read_bytes()


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
        checked(
            _libc.syscall(_PROCESS_VM_READV, pid, ctypes.byref(here), one, ctypes.byref(there), one, none)
        )
    except OSError as error:
        if error.errno != errno.EFAULT:  # the address is not there; looking was allowed
            raise


def take_descriptor(pid: int) -> None:
    held = os.pidfd_open(pid)
    try:
        checked(_libc.syscall(_PIDFD_GETFD, held, 0, 0))
    finally:
        os.close(held)


def trace(pid: int) -> None:
    checked(_libc.ptrace(_PTRACE_ATTACH, pid, None, None))
    os.waitpid(pid, 0)
    checked(_libc.ptrace(_PTRACE_DETACH, pid, None, None))


def write_own(folder: Path) -> None:
    (folder / "a/b").mkdir(parents=True, exist_ok=True)
    (folder / "a/b/c").write_text("x")
    assert (folder / "a/b/c").read_text() == "x"
    os.truncate(folder / "a/b/c", 0)
    (folder / "a/b/c").unlink()
    (folder / "a/b").rmdir()
    os.mkfifo(folder / "a/fifo")
    (folder / "a/fifo").unlink()


def move(source: Path, target: Path) -> None:
    source.write_text("x")
    source.rename(target)


def bind_unix(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def run_own() -> None:
    program = Path("program")
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    run("./program")


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def share_memory() -> None:
    shared = shared_memory.SharedMemory(create=True, size=64)
    shared.buf[0] = 1
    shared.close()
    shared.unlink()


def listen(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        socket.create_connection(("127.0.0.1", port)).close()


def with_child(act: Callable[[int], object]) -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        act(child.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()


if __name__ == "__main__":
    main()
