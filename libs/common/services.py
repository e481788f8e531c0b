"""The names of the services that a platform has; each is one process. Pure data."""

from typing import Final

SERVICES: Final = ("api", "reconciler", "health", "autoscaler", "router")
