"""Envoy's bootstrap: who may speak to it and how much memory it may take; and how it is started. Pure."""

import string
from typing import Final

from libs.common.envoy_folder import STARTED

OPTIONS: Final = (
    "--disable-hot-restart",
    "--concurrency",
    "1",
    "--log-level",
    "warning",
    # Envoy would log three lines for each request that ends without a last byte of an answer, because its
    # duration cannot be counted (`services/router/xds/counting.py`): any client could fill its log.
    "--component-log-level",
    "misc:critical",
)

START_VARIABLE: Final = "OTEL_RESOURCE_ATTRIBUTES"
"""By this variable Envoy is told who it is; it says so with everything that it counts."""
BOOTSTRAP = "bootstrap.json"

MIB = 1024 * 1024


_FILES_ASIDE = 200
"""Open files of Envoy that are no connection of a request."""
_FILES_PER_CONNECTION = 2
"""A client's connection may need one to a replica."""
_MOST_CONNECTIONS = 50_000


def render(template: str, *, token: str, heap_mib: int, open_files: int) -> str:
    """The text of `bootstrap.json`, from the one in `infra/envoy/`. It holds the token: for its owner alone.

    open_files: how many Envoy may have. It accepts no more connections than it can serve: without a file
    left it could not even refuse one.

    Its sockets have no folder: Envoy's working directory is the folder where they lie.
    """
    connections = min(_MOST_CONNECTIONS, (open_files - _FILES_ASIDE) // _FILES_PER_CONNECTION)
    return string.Template(template).substitute(
        TOKEN=token, HEAP_BYTES=heap_mib * MIB, CONNECTIONS=max(1, connections)
    )


def started(start_id: str) -> str:
    """The value of `START_VARIABLE`."""
    return f"{STARTED}={start_id}"
