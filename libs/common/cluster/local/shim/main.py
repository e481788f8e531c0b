"""The starter of shims: `python -S -E -s -I main.py <room>`, for as long as its input lasts.

Each line that it reads is the directory of a replica, for which it leaves a shim; each line that it writes
is the answer, one of `ANSWERS`, or why there is no shim. It has loaded all that a shim needs and forks for
each: so a shim costs no start of an interpreter, and shares its memory with the others. The standard library
only: a shim has to be small, and there is one for each replica.
"""

import os
import sys

sys.path.append(os.path.abspath(f"{__file__}/../../../../../.."))

STARTED = "started"
PRESENT = "present"
"""There was one already, or nothing is left to look after."""
ANSWERS = (STARTED, PRESENT)
ERRORS = "shim.err"
"""Beside the record: what the shim has to say."""


def main() -> int:
    """Returns at once and leaves the starter running, so that nobody has to wait for that one's end."""
    if os.fork():
        return 0
    os.chdir("/")
    import gc  # noqa: PLC0415 - what returns at once needs none of it

    from libs.common.cluster.local.shim import supervise, title  # noqa: F401, PLC0415 - for the shims

    gc.freeze()
    _open_as(2, os.devnull, os.O_WRONLY)
    for line in sys.stdin.buffer:
        try:
            answer = leave_shim(os.fsdecode(line.removesuffix(b"\n")))
        except OSError as error:
            answer = str(error)
        os.write(1, f"{answer}\n".encode(errors="replace"))
    return 0


def leave_shim(directory: str) -> str:
    """An orphan, not a child of the starter: nobody here has to wait for its end. Raises OSError."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            if os.fork() == 0:
                os.close(reader)
                _be_shim(directory, writer)
            status = 0
        except BaseException:  # noqa: BLE001 - told where the shim's words go, and goes no further
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    os.close(writer)
    try:
        if os.waitpid(child, 0)[1]:
            raise OSError("no further process can be started")
        return STARTED if os.read(reader, 1) else PRESENT
    finally:
        os.close(reader)


def _be_shim(directory: str, told: int) -> None:
    """Until the replica is stopped for good. told: gets a byte as soon as the replica has a shim."""
    from libs.common.cluster.local.shim import supervise, title  # noqa: PLC0415 - loaded before

    _open_as(0, os.devnull, os.O_RDONLY)
    _open_as(1, os.devnull, os.O_WRONLY)
    try:
        _open_as(2, f"{directory}/{ERRORS}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except FileNotFoundError:
        return  # the replica is gone
    shim = supervise.take_over(directory)
    if shim is not None:
        title.show(directory, len(sys.argv[1]))
        os.write(told, b"!")
        os.close(told)
        shim.run()


def _open_as(descriptor: int, path: str, flags: int) -> None:
    opened = os.open(path, flags | os.O_CLOEXEC, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    sys.exit(main())
