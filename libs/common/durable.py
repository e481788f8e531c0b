"""Files that are there whole or not at all, also after a power cut.

Plain functions over `os`: each shim imports this, and little else.
"""

from __future__ import annotations

import os


def replace_file(path: str, content: bytes, *, draft: str = "", durable: bool = True) -> None:
    """Replace a file at once by one that is its owner's alone.

    draft: where it is written first, in the same folder: a name of its own where there is only one writer, so
    that what a killed one left goes; a new name where it is not given. durable: on disk, under its
    name, before this returns.
    """
    if draft and os.path.lexists(draft):
        os.unlink(draft)
    draft = draft or f"{path}.{os.urandom(4).hex()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            while content:  # a disk that is nearly full takes a part, and says so only at the next write
                content = content[os.write(descriptor, content) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(draft, path)
    except OSError:
        if os.path.exists(draft):
            os.unlink(draft)
        raise
    if durable:
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Have the names in it on disk."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
