"""Envoy's bootstrap: who may speak to it and how much memory it may take. Pure."""

import string

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
