"""What a cluster tells whoever watches it."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Changed:
    """Deployments that may look otherwise than they did; with `everything`, whatever nobody can name too.

    admitted: those of which the cluster has refused something to whoever watches, and would not any more.
    """

    deployment_ids: frozenset[str] = frozenset()
    everything: bool = False
    admitted: frozenset[str] = frozenset()


EVERYTHING: Final = Changed(everything=True)
