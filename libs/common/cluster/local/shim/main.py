"""Started as `python -S -E -s -I main.py <replica directory>`: leaves a shim running, and ends.

Its exit status says whether it is (0), or one was there already (3). The standard library only: a shim has to
be small and quick to start, and there is one for each replica.
"""

import os
import sys

sys.path.append(os.path.abspath(f"{__file__}/../../../../../.."))

ALREADY_THERE = 3


def main(directory: str) -> int:
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        return 0 if os.read(reader, 1) else ALREADY_THERE
    os.close(reader)
    os.chdir("/")
    from libs.common.cluster.local.shim.supervise import take_over  # noqa: PLC0415 - the parent needs none of it

    shim = take_over(directory)
    if shim is not None:
        os.write(writer, b"!")
        os.close(writer)
        shim.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
