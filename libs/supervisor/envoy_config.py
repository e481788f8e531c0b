"""Envoy's bootstrap: who may speak to it and how much memory it may take. Pure."""

import string

BOOTSTRAP = "bootstrap.json"
TOKEN = "token"  # noqa: S105 - the file's name
ADMIN_SOCKET = "admin.sock"
XDS_SOCKET = "xds.sock"

MIB = 1024 * 1024


def render(template: str, *, token: str, heap_mib: int) -> str:
    """The text of `bootstrap.json`, from the one in `infra/envoy/`. It holds the token: for its owner alone.

    Its sockets have no folder: Envoy's working directory is the folder where they lie.
    """
    return string.Template(template).substitute(TOKEN=token, HEAP_BYTES=heap_mib * MIB)
