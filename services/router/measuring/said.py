"""What an Envoy says of its counters, read. Pure.

It says it in two ways. Every 5 s it pushes those that were touched since its last sweep, as running totals
(OTLP). And its admin interface tells all that it has. It sweeps every 10 minutes, just after a push: a
counter that was not touched since the sweep before goes, and would begin at 0 again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from libs.common.envoy_folder import STARTED
from services.router.xds.counting import LABEL, PREFIX, place_of

Values = Mapping[str, Mapping[int, int]]
"""By deployment id, then by the counter's place."""

_NANOSECONDS: Final = 1e9
_MOST: Final = 2**63 - 1

_place_of = lru_cache(maxsize=65_536)(place_of)
"""Each push says the same names again."""


@dataclass(frozen=True, slots=True)
class Push:
    """counter_id: of that start of an Envoy. taken_at: when, in seconds since 1970 by its clock."""

    counter_id: str
    taken_at: float
    values: Values = field(default_factory=dict)


def read_push(request: ExportMetricsServiceRequest) -> Push | None:
    """None where there is nothing in it. What is no counter of requests is left out."""
    values: dict[str, dict[int, int]] = {}
    counter_id, taken_at = "", 0
    for resource in request.resource_metrics:
        for attribute in resource.resource.attributes:
            if attribute.key == STARTED:
                counter_id = attribute.value.string_value
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                name = metric.name
                is_ours = name.startswith(PREFIX)
                if not is_ours and taken_at:
                    continue
                for point in metric.sum.data_points:
                    if not taken_at:  # the same for all
                        taken_at = point.time_unix_nano
                        # Without a name of the start: Envoy's own time of it.
                        counter_id = counter_id or str(point.start_time_unix_nano)
                    if is_ours:
                        for label in point.attributes:
                            if label.key == LABEL:
                                _put(values, name, label.value.string_value, point.as_int)
    return Push(counter_id, taken_at / _NANOSECONDS, values) if taken_at else None


def read_all(text: str) -> Values:
    """From the admin interface's `/stats`: a line `requests.ended.of.<label>: 12` for each counter."""
    values: dict[str, dict[int, int]] = {}
    for name, label, value in _lines(text):
        _put(values, name, label, value)
    return values


def _lines(text: str) -> Iterator[tuple[str, str, int]]:
    for line in text.splitlines():
        full_name, _, value = line.rpartition(": ")
        name, is_ours, label = full_name.partition(f".{LABEL}.")
        if is_ours and value.isdecimal():
            yield name, label, int(value)


def _put(values: dict[str, dict[int, int]], name: str, label: str, value: int) -> None:
    found = _place_of(name, label)
    if found is not None and 0 <= value <= _MOST:
        deployment_id, place = found
        values.setdefault(deployment_id, {})[place] = value
