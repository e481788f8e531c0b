"""Run as `python -S -E -s -I try_mounts.py`: exits with 0 where this user may have a mount namespace."""

import os
import sys

sys.path.append(os.path.abspath(f"{__file__}/../../../../../.."))

from libs.common.cluster.local.shim.mounts import can_be_had

if __name__ == "__main__":
    sys.exit(0 if can_be_had() else 1)
