"""Why the platform cannot be started or stopped; each message is meant for the person at the terminal."""

import sys

from libs.common.errors import SpecstreamError


class CannotStart(SpecstreamError):
    """Nothing was started; the message says what to change."""


class CannotStop(SpecstreamError):
    """Something of the home is still running; the message names it."""


def told(error: Exception) -> int:
    """Say it on stderr; the exit status."""
    for line in str(error).splitlines():
        print(f"specstream: {line}", file=sys.stderr)
    return 1
