"""A replica's directory for temporary files: below its working directory, and reached by a link.

Below it, so that a file can be moved from one to the other: no rename crosses from one mount to another. By a
link, because the path of a unix socket has 108 bytes and programs make sockets there.
"""

import os
import stat
from contextlib import suppress

from libs.common.cluster.local.shim.gone import delete

NAME = ".tmp"


def prepare(link: str, cwd: str) -> None:
    """Raises OSError."""
    directory = f"{cwd}/{NAME}"
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(directory).st_mode):
            os.unlink(directory)  # the replica has put something in its place
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if not os.path.islink(link):
        delete(link)  # a directory, of an earlier version
        os.makedirs(os.path.dirname(link), mode=0o700, exist_ok=True)
        os.symlink(directory, link)


def remove(link: str, cwd: str) -> None:
    """As far as possible; whatever the replica has put in its place is not followed."""
    if os.path.islink(link):
        with suppress(OSError):
            os.unlink(link)
    else:
        delete(link)
    delete(f"{cwd}/{NAME}")
