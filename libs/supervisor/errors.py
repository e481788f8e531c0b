"""Why the platform cannot be started or stopped; each message is meant for the person at the terminal."""

from libs.common.errors import SpecstreamError


class CannotStart(SpecstreamError):
    """Nothing was started; the message says what to change."""


class CannotStop(SpecstreamError):
    """Something of the home is still running; the message names it."""
