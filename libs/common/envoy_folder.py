"""What lies in the folder where the router and its Envoy meet, by name, and how Envoy is told its start."""

from typing import Final

TOKEN: Final = "token"  # noqa: S105 - the file's name
XDS_SOCKET: Final = "xds.sock"
ADMIN_SOCKET: Final = "admin.sock"
COUNTS: Final = "counts.json"
"""What the router remembers of Envoy's counters."""

STARTED: Final = "specstream.started"
"""The attribute that differs with each start of an Envoy. Its starter sets it: its counters begin at 0."""
