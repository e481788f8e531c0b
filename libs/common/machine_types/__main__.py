"""`python -m libs.common.machine_types FILE`: whether a platform can use the list; says all that is wrong."""

import sys
from pathlib import Path

from libs.common.machine_types.reading import BadMachineTypes, machine_types

if __name__ == "__main__":
    try:
        machine_types(Path(sys.argv[1]))
    except BadMachineTypes as error:
        sys.exit(str(error))
