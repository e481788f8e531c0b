"""Which batches of measurements count: each part of each interval once, and none that is older. Pure.

| batch of a source and kind                                             | counts |
|------------------------------------------------------------------------|--------|
| the first, or of another `counter_id`                                  | yes    |
| a higher number than any before                                        | yes    |
| the newest number, and a part not had before                           | yes    |
| whole, and measured after the newest: its source numbers from anew     | yes    |
| whole, and nothing counted for a minute: its clock may have been set   | yes    |
| any other: it came twice, or late                                      | no     |
"""

from dataclasses import dataclass, field
from typing import Final

from libs.common.metrics.samples import Batch, Kind

SILENT_S: Final = 60.0


@dataclass(slots=True)
class _Newest:
    counter_id: str
    number: int
    parts: set[int]
    ended_at: float
    received_at: float


@dataclass(slots=True)
class Batches:
    """The newest batch of each source."""

    dropped: int = 0
    """How many did not count."""
    _newest: dict[tuple[Kind, str], _Newest] = field(default_factory=dict)

    def take(self, batch: Batch, *, at: float) -> bool:
        """Whether it counts. at: when it was received."""
        key = (batch.kind, batch.source)
        newest = self._newest.get(key)
        if newest is not None and _is_its_part(batch, newest):
            newest.parts.add(batch.part)
            return True
        if newest is None or _is_newer(batch, newest, at):
            self._newest[key] = _Newest(batch.counter_id, batch.number, {batch.part}, batch.ended_at, at)
            return True
        self.dropped += 1
        return False


def _is_its_part(batch: Batch, newest: _Newest) -> bool:
    same = (batch.counter_id, batch.number, batch.ended_at)
    return same == (newest.counter_id, newest.number, newest.ended_at) and batch.part not in newest.parts


def _is_newer(batch: Batch, newest: _Newest, at: float) -> bool:
    if batch.counter_id != newest.counter_id or batch.number > newest.number:
        return True
    return batch.is_whole and (batch.ended_at > newest.ended_at or at - newest.received_at > SILENT_S)
