"""Run a command where its user may have no namespace: `python -m tests.support.without_mounts COMMAND...`."""

import errno
import os
import sys

from tests.support.without_landlock import run_without

_UNSHARE = {"x86_64": 272, "aarch64": 97}

if __name__ == "__main__":
    run_without(_UNSHARE[os.uname().machine], errno.EPERM, sys.argv[1:])
