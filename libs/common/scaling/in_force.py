"""How many replicas are in force: one function of the newest spec and the newest decision. Pure.

| spec                                                     | number in force                           |
|----------------------------------------------------------|-------------------------------------------|
| deleted, disabled, or `replicas` 0                       | 0                                         |
| no autoscaling, it is off, or no decision of its stretch | `replicas`                                |
| autoscaling, decided d                                   | d, clamped to `replicas`...`max_replicas` |

A stretch is a run of specs, one after the other, with autoscaling on, enabled and not 0; it has the id of
its first spec. A decision counts only for the stretch that it was made in, and every reader clamps it. So
whichever of a spec and a decision comes first, the number is the same, and turning autoscaling off and on
begins at `replicas` again.
"""

from dataclasses import dataclass

from libs.common.scaling.replicas import Bounds


@dataclass(frozen=True, slots=True)
class Scale:
    """What a spec says about how many there should be."""

    replicas: int
    """The floor with autoscaling, otherwise the number."""
    is_enabled: bool = True
    max_replicas: int | None = None
    """None: there is no autoscaling."""
    is_autoscaling_enabled: bool = True
    """False keeps the block, and the number is `replicas`."""
    stretch_id: str | None = None
    """The first spec of the stretch that this one is in; None: it is in none."""

    @property
    def is_autoscaled(self) -> bool:
        """Whether load changes the number at all."""
        return (
            self.is_enabled
            and self.replicas > 0
            and self.max_replicas is not None
            and self.is_autoscaling_enabled
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """The newest decision."""

    replicas: int
    stretch_id: str


def in_force(scale: Scale, decided: Decided | None, *, is_deleted: bool = False) -> int:
    """Never fails: a maximum below the floor, which no spec may have, is as the floor."""
    if is_deleted or not scale.is_enabled:
        return 0
    if not scale.is_autoscaled or decided is None or decided.stretch_id != scale.stretch_id:
        return scale.replicas
    return bounds_of(scale).clamp(decided.replicas)


def bounds_of(scale: Scale) -> Bounds:
    """Between which numbers load may move it."""
    return Bounds(scale.replicas, max(scale.replicas, scale.max_replicas or 0))


def stretch_of(scale: Scale, *, spec_id: str, before: str | None) -> str | None:
    """The stretch that a spec is in. before: that of the spec before it, None where there is none."""
    if not scale.is_autoscaled:
        return None
    return spec_id if before is None else before
