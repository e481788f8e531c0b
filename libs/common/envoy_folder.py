"""What lies in the folder where the router and its Envoy meet, by name. Pure data."""

from typing import Final

TOKEN: Final = "token"  # noqa: S105 - the file's name
XDS_SOCKET: Final = "xds.sock"
ADMIN_SOCKET: Final = "admin.sock"
