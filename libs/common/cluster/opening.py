"""Which cluster there is: the one place that knows it, by settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.bus.settings import ServiceSettings
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.port import Cluster

FOLDER = "replicas"
"""Of the home: where the local cluster has everything."""


@asynccontextmanager
async def open_cluster(settings: ServiceSettings) -> AsyncIterator[Cluster]:
    """The cluster, for as long as the block runs. What runs on it goes on afterwards."""
    yield LocalCluster(settings.home.expanduser() / FOLDER, grace_seconds=settings.grace_seconds)
