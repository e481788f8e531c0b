"""Memory that programs of a machine share, outside of every replica."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import shared_memory

_IPC_CREAT, _IPC_RMID = 0o1000, 0


@contextmanager
def memory_of_the_machine() -> Iterator[int]:
    """Open to everybody: a file in /dev/shm, and a segment of System V; the key of this one."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = os.getpid()
    segment = libc.shmget(key, 4096, _IPC_CREAT | 0o666)
    assert segment >= 0, os.strerror(ctypes.get_errno())
    file = shared_memory.SharedMemory(create=True, size=4096)
    try:
        yield key
    finally:
        file.close()
        file.unlink()
        libc.shmctl(segment, _IPC_RMID, None)
