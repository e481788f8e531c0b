"""What a source publishes of each interval: everything once a minute, in between what changed. Pure."""

from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

from libs.common.metrics.samples import FIELDS, Batch, Kind, ReplicaUsage, RequestsInFlight, RequestTotals

WHOLE_EVERY_S: Final = 60.0

Sample = TypeVar("Sample", ReplicaUsage, RequestTotals, RequestsInFlight)


class Intervals(Generic[Sample]):
    """Makes the batches of one source and kind, one for each interval, also for one in which nothing changed:
    a batch that does not come says that nothing is known of its interval.

    source: one token of a subject: letters, digits, `-` and `_`. counter_id: since when totals are counted.
    """

    def __init__(self, kind: Kind, *, source: str, counter_id: str, number: int = 0) -> None:
        self._kind = kind
        self._source = source
        self._counter_id = counter_id
        self._number = number
        self._said: dict[Hashable, Sample] = {}
        self._whole_at: float | None = None

    def count_anew(self, counter_id: str) -> None:
        """Totals begin at 0 again; the next batch is whole."""
        if counter_id != self._counter_id:
            self._counter_id = counter_id
            self._whole_at = None

    def next(self, samples: Iterable[Sample], *, ended_at: float, interval_s: float, now: float) -> Batch:
        """samples: everything that is known at the end of the interval. now: seconds, for when it is whole.

        A sample that is the same as in the batch before is left out of a batch that is not whole.
        """
        known = {_key(sample): sample for sample in samples}
        is_whole = self._whole_at is None or not 0 <= now - self._whole_at < WHOLE_EVERY_S
        if is_whole:
            self._whole_at = now
        told = [sample for key, sample in known.items() if is_whole or self._said.get(key) != sample]
        self._said = known
        self._number += 1
        base = Batch(
            kind=self._kind,
            source=self._source,
            counter_id=self._counter_id,
            number=self._number,
            interval_s=interval_s,
            ended_at=ended_at,
            is_whole=is_whole,
        )
        return base.model_copy(update={FIELDS[self._kind]: tuple(told)})


def _key(sample: ReplicaUsage | RequestTotals | RequestsInFlight) -> Hashable:
    if isinstance(sample, ReplicaUsage):
        return sample.deployment_id, sample.replica_id
    return sample.deployment_id
