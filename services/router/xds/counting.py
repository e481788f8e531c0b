"""What Envoy counts of each request by itself, and how its counters are called. Pure.

Its access logger for statistics does it, when a request has ended; no request is seen by Python. A counter
is named by the route's name, which is the deployment's id, and by whether a replica answered: never by
anything that a client or a replica sends. Requests that found no deployment have no name and are counted
together.

An ordinary request touches two counters. What is upgraded (status 101) is not counted here.

All are labelled by deployment and by whether a replica answered.

| counter | adds                                   | of requests that         |
|---------|----------------------------------------|--------------------------|
| ended   | 1                                      | ended                    |
| us      | microseconds from first to last byte   | ended with the last byte |
| errors  | 1                                      | ended with 500 or higher |
| cut_ms  | whole milliseconds until they were cut | ended with a flag        |

Envoy knows the microseconds of an answer only when its last byte went out. What was cut before is in
`cut_ms`, whose label has also whether there was a last byte.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from libs.common.metrics.samples import RequestTotals

PREFIX: Final = "requests"
LABEL: Final = "of"


class Count(StrEnum):
    """The counters, by the last token but one of their names."""

    ENDED = "ended"
    MICROSECONDS = "us"
    ERRORS = "errors"
    CUT_MILLISECONDS = "cut_ms"


_YES: Final = "0"
"""How the duration from a point of time to itself is written; empty where the point was never reached."""
_ANSWERED: Final = "%COMMON_DURATION(US_RX_BEG:US_RX_BEG:ms)%"
_COMPLETE: Final = "%COMMON_DURATION(DS_TX_END:DS_TX_END:ms)%"
_DURATION: Final = "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%"
_OF: Final = f"%ROUTE_NAME%,{_ANSWERED}"

_LOGGER: Final = "envoy.access_loggers.stats"
_TYPES: Final = "type.googleapis.com/"


def _status(op: str, code: int) -> dict[str, Any]:
    value = {"default_value": code, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


_IS_NO_UPGRADE: Final = _status("NE", 101)


def _counter(count: Count, value: str = "", *, label: str = _OF) -> dict[str, Any]:
    """value: how it is formatted; empty for 1. One label costs a request half of what two cost."""
    stat = {"name": count.value, "tags": [{"name": LABEL, "value_format": label}]}
    return {"stat": stat, "value_format": value} if value else {"stat": stat, "value_fixed": 1}


def _logger(condition: Mapping[str, Any], *counters: Mapping[str, Any]) -> Mapping[str, Any]:
    # As a TypedStruct, because the Python package does not know `stats_scope` yet. Without eviction the
    # counters of deleted deployments would stay for ever.
    config = {"stats_scope": {"prefix": PREFIX, "enable_eviction": True}, "counters": list(counters)}
    typed = {
        "@type": f"{_TYPES}xds.type.v3.TypedStruct",
        "type_url": f"{_TYPES}envoy.extensions.access_loggers.stats.v3.Config",
        "value": config,
    }
    return MappingProxyType({"name": _LOGGER, "filter": condition, "typed_config": typed})


ACCESS_LOG: Final = (
    _logger(_IS_NO_UPGRADE, _counter(Count.ENDED), _counter(Count.MICROSECONDS, _DURATION)),
    _logger(_status("GE", 500), _counter(Count.ERRORS)),
    _logger(
        {"and_filter": {"filters": [{"response_flag_filter": {"flags": []}}, _IS_NO_UPGRADE]}},
        _counter(Count.CUT_MILLISECONDS, "%DURATION%", label=f"{_OF},{_COMPLETE}"),
    ),
)
"""Of the listener's connection manager."""


_KEPT: Final[Mapping[tuple[str, ...], int]] = MappingProxyType(
    {
        (Count.ENDED, _YES): 0,
        (Count.ENDED, ""): 1,
        (Count.ERRORS, _YES): 2,
        (Count.MICROSECONDS, _YES): 3,
        (Count.CUT_MILLISECONDS, _YES, ""): 4,
    }
)
"""The counters that are read, by what follows a deployment's id in their label, each with its place."""
PLACES: Final = len(_KEPT)
"""How many counters a deployment has."""


def place_of(name: str, label: str) -> tuple[str, int] | None:
    """The deployment that a counter is of, and its place; None for one that is not read."""
    prefix, _, count = name.partition(".")
    deployment_id, *rest = label.split(",")
    place = _KEPT.get((count, *rest))
    return (deployment_id, place) if prefix == PREFIX and deployment_id and place is not None else None


def request_totals(deployment_id: str, values: Sequence[int]) -> RequestTotals:
    """values: one for each place."""
    answered, unanswered, errors, microseconds, cut_milliseconds = values
    return RequestTotals(
        deployment_id=deployment_id,
        answered=answered,
        unanswered=unanswered,
        server_errors=errors,
        duration_us=microseconds + cut_milliseconds * 1000,
    )
