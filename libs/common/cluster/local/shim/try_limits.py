"""Run as `python -S -E -s -I try_limits.py`: says where replicas can have cgroups, or why nowhere."""

import os
import sys

sys.path.append(os.path.abspath(f"{__file__}/../../../../../.."))

from libs.common.cluster.local.shim.limits import NoLimits, place

if __name__ == "__main__":
    try:
        print(place())
    except NoLimits as error:
        sys.exit(str(error))
