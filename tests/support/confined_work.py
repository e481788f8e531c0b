"""What a replica needs to do its work, tried by a replica: by `tests.support.intruder`.

Standard library only: it also runs as a user who cannot read the checkout's environment.
"""

import contextlib
import ctypes
import errno
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing import Semaphore, shared_memory
from pathlib import Path

Attempts = dict[str, Callable[[], object]]

libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return repr(error)
    return "done"


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
        "change the mode of its own file": lambda: own_file().chmod(0o640),
        "change the times of its own file": lambda: os.utime(own_file(), (1, 1)),
        "give its own file to itself": lambda: os.chown(own_file(), os.geteuid(), os.getegid()),
        "copy a file with its mode": lambda: shutil.copy2(__file__, temporary / "copied"),
        "change the mode of its own directory": lambda: Path.cwd().chmod(0o755),
        "limit itself": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        "limit itself by its number": lambda: resource.prlimit(os.getpid(), resource.RLIMIT_CORE, (0, 0)),
        "see its limits": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE),
        "run later than others": lambda: os.setpriority(os.PRIO_PROCESS, 0, 1),
        "choose its processors": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "let a thread choose its processors": in_a_thread,
        "use the usual policy": lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
        "fork": fork,
        "end its own child": lambda: with_child(lambda pid: os.kill(pid, signal.SIGKILL)),
        "trace its own child": lambda: with_child(trace),
        "read its own child's environment": lambda: with_child(
            lambda pid: Path(f"/proc/{pid}/environ").read_bytes()
        ),
    }


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def own_file() -> Path:
    own = Path("own")
    own.touch()
    return own


def in_a_thread() -> None:
    came: list[BaseException | None] = []

    def choose() -> None:
        try:
            os.sched_setaffinity(threading.get_native_id(), os.sched_getaffinity(0))
            came.append(None)
        except OSError as error:
            came.append(error)

    thread = threading.Thread(target=choose)
    thread.start()
    thread.join()
    if came[0] is not None:
        raise came[0]


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def trace(pid: int) -> None:
    checked(libc.ptrace(_PTRACE_ATTACH, pid, None, None))
    os.waitpid(pid, 0)
    checked(libc.ptrace(_PTRACE_DETACH, pid, None, None))


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
