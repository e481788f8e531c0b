"""With too few processors for all, the platform's services come before replicas and their shims."""

import os
from contextlib import suppress

NICE = 5
"""A third of what a service gets beside it."""


def lower() -> None:
    """Of this process and all that it starts."""
    os.nice(NICE)


def lower_session() -> None:
    """Where the kernel divides the processors among sessions first, the nice value of one is said here."""
    with suppress(OSError), open("/proc/self/autogroup", "w") as file:
        file.write(str(NICE))
