"""How many files and connections a process of the platform may have open."""

import resource
import sys


def limit() -> int:
    """The most that this user may allow a process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def allow_all() -> None:
    """Take that limit, for this process and all that it starts. The usual one suits a shell, not a server."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
