"""Which cluster there is: the one place that knows it, by settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.bus.settings import ServiceSettings
from libs.common.cluster.abilities import Abilities, abilities_of
from libs.common.cluster.local.cluster import LocalCluster
from libs.common.cluster.local.gpus import count_gpus
from libs.common.cluster.offer import Offer
from libs.common.cluster.port import Cluster
from libs.common.gpus.nvml import Nvml
from libs.common.left_out import found
from libs.common.machine_types.reading import machine_types

FOLDER = "replicas"
"""Of the home: where the local cluster has everything."""


def abilities(settings: ServiceSettings) -> Abilities:
    """What that cluster can do, without asking it."""
    return abilities_of(settings.cluster, regions=settings.regions, gpus=count_gpus())


def offer(settings: ServiceSettings) -> Offer:
    """What a spec may ask of it. Raises BadMachineTypes."""
    return Offer(machine_types(settings.machine_types), abilities(settings))


@asynccontextmanager
async def open_cluster(settings: ServiceSettings) -> AsyncIterator[Cluster]:
    """The cluster, for as long as the block runs. What runs on it goes on afterwards."""
    if settings.cluster == "kubernetes":
        async with _open_kubernetes(settings) as cluster:
            yield cluster
    else:
        yield LocalCluster(
            settings.home.expanduser() / FOLDER,
            grace_seconds=settings.grace_seconds,
            abilities=abilities(settings),
            machine_types=machine_types(settings.machine_types),
            gpus=Nvml(),
        )


@asynccontextmanager
async def _open_kubernetes(settings: ServiceSettings) -> AsyncIterator[Cluster]:
    # Imported by whoever asks for it: the client takes a third of a second and 50 MB.
    found("aiohttp")
    from libs.common.cluster.kubernetes.cluster import KubernetesCluster  # noqa: PLC0415
    from libs.common.cluster.kubernetes.writer import Timing  # noqa: PLC0415

    async with KubernetesCluster.opened(
        settings.kubeconfig,
        namespace=settings.kube_namespace,
        machine_types=machine_types(settings.machine_types),
        timing=Timing(settings.grace_seconds, settings.drain_deadline_seconds, settings.node_lost_seconds),
        security=settings.kube_pod_security,
        abilities=abilities(settings),
    ) as cluster:
        yield cluster
