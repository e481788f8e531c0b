"""The object that an anchor is in, as the API server has it, and as it was when one of us wrote it. Pure.

Whoever changes an anchor by hand leaves its digest or its labels wrong. What was written last counts then, as
far as it is remembered, and the next plan puts it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from libs.common.cluster.kubernetes import anchor as anchors
from libs.common.cluster.kubernetes import names
from libs.common.cluster.kubernetes.anchor import Anchor
from libs.common.errors import DeploymentUnavailable

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AnchorObject:
    """anchor: None where it cannot be read, and `problem` says why."""

    name: str
    uid: str
    version: int = field(compare=False)
    deployment_id: str
    anchor: Anchor | None
    problem: str | None = None
    is_as_written: bool = True
    """Whether nobody has changed it by hand."""


def parse_anchor(raw: JSON) -> AnchorObject:
    metadata, data = raw["metadata"], raw.get("data") or {}
    anchor, problem, is_as_written = None, None, False
    try:
        anchor = anchors.from_data(metadata["name"], data)
        labels = names.anchor_labels(anchor.project_id, anchor.deployment_id)
        is_as_written = anchors.is_sealed(data) and labels.items() <= (metadata.get("labels") or {}).items()
    except DeploymentUnavailable as error:
        problem = str(error)
    return AnchorObject(
        name=metadata["name"],
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        deployment_id=names.deployment_of(metadata["name"]),
        anchor=anchor,
        problem=problem,
        is_as_written=is_as_written,
    )


class Written:
    """Each anchor as it was when one of us wrote it last, as far as that was seen."""

    def __init__(self) -> None:
        self._last: dict[str, AnchorObject] = {}
        """By name."""

    def take(self, before: AnchorObject | None, after: AnchorObject | None) -> None:
        """An anchor has changed, come or gone."""
        if after is None:
            if before is not None:
                self._last.pop(before.name, None)
        elif after.is_as_written:
            self._last[after.name] = after

    def mend(self, held: AnchorObject) -> AnchorObject:
        """With what was written in the place of what somebody made of it by hand.

        What rests on another plan than the one that was seen last may be a plan that was not seen: it counts
        as it is.
        """
        last = self._last.get(held.name)
        if held.is_as_written or last is None or last.uid != held.uid or last.anchor is None:
            return held
        if held.anchor is not None and held.anchor.fence != last.anchor.fence:
            return held
        return replace(held, anchor=last.anchor, problem=None)
