"""What is measured, as it goes over the stream METRICS. Pure data.

A batch is what one source measured in one interval: what changed since the batch before, and once a minute
everything (`is_whole`). A batch that would be too large for one message comes in numbered parts.

Counts are running totals since `counter_id` began to count at 0; whoever reads them subtracts. So a lost
batch or a restarted reader loses no count. A total that fell under the same `counter_id` makes that interval
unknown, which is not 0.

Every number and text has a bound beyond what there can be, within which whoever reads can calculate: what is
beyond it is no sample.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MOST: Final = 1e15
"""Of any amount: so many bytes, or seconds, are of nothing that can be measured."""
LONGEST_S: Final = 3600.0
"""An interval. Whoever reads looks at each of its seconds."""

Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Interval = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Total = Annotated[int, Field(ge=0, le=2**63 - 1)]
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
Name = Annotated[str, Field(max_length=253)]


class Kind(StrEnum):
    """What a batch holds; the last token but one of its subject."""

    USAGE = "usage"
    """`ReplicaUsage`, by health."""
    REQUESTS = "requests"
    """`RequestTotals`, by the router."""
    IN_FLIGHT = "in_flight"
    """`RequestsInFlight`, by the router."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class GpuUsage(_Part):
    """gpu: its index on the machine. utilization_percent: of the whole GPU, by this replica's processes."""

    gpu: Number
    utilization_percent: Amount | None = None
    memory_bytes: Total | None = None


class ReplicaUsage(_Part):
    """What one replica used.

    attempt: of the process that was measured.
    cpu_cores: average number of cores over the `window_s` seconds that ended at `ended_at`; None: not known,
    because there was no measurement before this one.
    cpus, memory_gib: what 100 % is: of the machine type with which the replica was created; None: not known.
    ended_at: seconds since 1970, by the clock of who measured. The same time again is no new sample.
    """

    deployment_id: Name
    replica_id: Name
    attempt: Number
    ended_at: Amount
    window_s: Amount
    cpu_cores: Amount | None = None
    memory_bytes: Total | None = None
    cpus: Amount | None = None
    memory_gib: Amount | None = None
    gpus: tuple[GpuUsage, ...] = ()


class RequestTotals(_Part):
    """answered: requests that a replica answered. duration_us: microseconds from a request's first byte to
    its answer's last, summed over them. unanswered: requests that got no replica's answer.
    server_errors: answered ones whose status was 500 or higher."""

    deployment_id: Name
    answered: Total = 0
    duration_us: Total = 0
    unanswered: Total = 0
    server_errors: Total = 0


class RequestsInFlight(_Part):
    """in_flight: requests and streams that were active at the end of the interval.

    What was not 0 is in each batch, what has become 0 in one more; what is not in a batch is 0 as it was.
    """

    deployment_id: Name
    in_flight: Amount


class Batch(_Part):
    """What one source measured in one interval, or a part of that.

    source: who measured, such as `health` or the name of one Envoy: one token of a subject, so of letters,
    digits, `-` and `_`. counter_id: since when it counts; a new
    one begins at 0. number: of the interval, 1 higher with each batch of this source and kind. part: from 1
    to `parts`. interval_s: how long the interval was. ended_at: seconds since 1970.
    is_whole: everything that the source knows is in the parts; otherwise what is not there is as before, but
    for usage, which was not measured anew: its source measures more seldom, or the replica is gone.
    """

    kind: Kind
    source: str
    counter_id: Name
    number: Total
    part: Number = 1
    parts: Number = 1
    interval_s: Interval
    ended_at: Amount
    is_whole: bool = False
    usage: tuple[ReplicaUsage, ...] = ()
    requests: tuple[RequestTotals, ...] = ()
    in_flight: tuple[RequestsInFlight, ...] = ()


FIELDS: Final[Mapping[Kind, str]] = {
    Kind.USAGE: "usage",
    Kind.REQUESTS: "requests",
    Kind.IN_FLIGHT: "in_flight",
}
"""The field of a batch that has its samples, by its kind."""
