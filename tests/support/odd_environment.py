"""A process that calls other addresses its environment than those that it was given: `python -m ... <MiB>`.

With 0 MiB there is no memory at them, else so much of it, all zeros, which costs nothing. It says when that
is done and goes on until its input ends.
"""

import ctypes
import errno
import mmap
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PR_SET_MM, _PR_SET_MM_MAP = 35, 14
_MIB = 1024 * 1024
_NOWHERE = 0x10000
"""Below what anything is loaded at."""


@contextmanager
def odd_environment(mib: int) -> Iterator[int]:
    """The pid of such a process."""
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(mib)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if said == "refused\n":
                pytest.skip("this kernel lets no process say so (CONFIG_CHECKPOINT_RESTORE)")
            assert said == "done\n"
            yield process.pid
        finally:
            process.kill()


def main(mib: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype = ctypes.c_void_p
    start, end = _NOWHERE, _NOWHERE + _MIB
    if mib:
        memory = mmap.mmap(-1, mib * _MIB, flags=mmap.MAP_PRIVATE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        end = start + len(memory)
    stat = Path("/proc/self/stat").read_bytes()
    told = [int(field) for field in stat.rpartition(b")")[2].split()[1:]]
    code, stack, data = told[22:24], told[24], told[41:44]
    arguments = told[44:46]
    addresses = (*code, *data[:2], data[2], libc.sbrk(0), stack, *arguments, start, end)
    packed = struct.pack("<12QIi", *addresses, 0, 0, -1)
    if libc.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.create_string_buffer(packed), len(packed), 0):
        assert ctypes.get_errno() == errno.EINVAL
        print("refused", flush=True)
        return
    print("done", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
