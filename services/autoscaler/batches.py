"""Which batches of measurements count: each part of each interval once, and none that is older. Pure.

| batch of a source and kind                    | counts |
|-----------------------------------------------|--------|
| the first, or of another `counter_id`         | yes    |
| a higher number than any before               | yes    |
| the newest number, and a part not had before  | yes    |
| the newest number, and a part had before      | no     |
| a lower number                                | no     |
"""

from dataclasses import dataclass, field

from libs.common.metrics.samples import Batch, Kind


@dataclass(slots=True)
class _Newest:
    counter_id: str
    number: int
    parts: set[int]


@dataclass(slots=True)
class Batches:
    """The newest batch of each source."""

    dropped: int = 0
    """How many did not count."""
    _newest: dict[tuple[Kind, str], _Newest] = field(default_factory=dict)

    def take(self, batch: Batch) -> bool:
        """Whether it counts."""
        key = (batch.kind, batch.source)
        newest = self._newest.get(key)
        if newest is None or newest.counter_id != batch.counter_id or batch.number > newest.number:
            self._newest[key] = _Newest(batch.counter_id, batch.number, {batch.part})
            return True
        if batch.number < newest.number or batch.part in newest.parts:
            self.dropped += 1
            return False
        newest.parts.add(batch.part)
        return True
