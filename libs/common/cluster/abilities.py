"""What one cluster can do and another cannot; nobody asks a cluster for what it cannot do. Pure."""

from dataclasses import dataclass, replace
from typing import Final, Literal

ClusterKind = Literal["local", "kubernetes"]


@dataclass(frozen=True, slots=True)
class Abilities:
    restarts: bool = True
    """`restart` ends a process. Otherwise whoever carries out the checks ends the condemned by itself."""
    runs_images: bool = False
    """A template without a `command` can be run: what the image says is run then."""
    shifts_ports: bool = True
    """Each replica has ports of its own; otherwise those of its template, at an address of its own."""
    keeps_last_words: bool = True
    """The `logs` have what a gone replica wrote, as long as its deployment is there. Otherwise somebody else
    has to keep that."""
    probes_natively: bool = False
    """The cluster carries out the health checks itself and fills `ready`."""
    is_ours_alone: bool = True
    """Nobody else has replicas there, so what the log does not know may be ended. Otherwise it is let alone:
    it may be another platform's, or of a log that is to be restored."""
    gpus: int | None = 0
    """How many GPUs its one machine has. None where there are nodes: a machine type has to say then which of
    them have its GPUs."""
    regions: tuple[str, ...] = ()
    """Those in which a replica can be asked for; none where the cluster does not say."""
    names_are_plain: bool = False
    """Variables and headers have only names that Kubernetes takes."""
    most_bytes: int | None = None
    """Of what it has to know of one deployment: the templates and replicas of all its runs."""


LOCAL: Final = Abilities()
KUBERNETES: Final = Abilities(
    restarts=False,
    runs_images=True,
    shifts_ports=False,
    keeps_last_words=False,
    probes_natively=True,
    is_ours_alone=False,
    gpus=None,
    names_are_plain=True,
    most_bytes=900 * 1024,
)
"""A ConfigMap, where all of it is, has at most 1 MiB with its metadata."""


def abilities_of(kind: ClusterKind, *, regions: tuple[str, ...] = (), gpus: int = 0) -> Abilities:
    """Of the cluster that the settings name. gpus: of this machine, which only the local cluster is."""
    if kind == "kubernetes":
        return replace(KUBERNETES, regions=regions)
    return replace(LOCAL, regions=regions, gpus=gpus)
