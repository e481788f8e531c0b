"""What Envoy counts of each request by itself, and how its counters are called. Pure.

Its access logger for statistics does it, when a request has ended; no request is seen by Python. A counter
is labelled by the route's name, which is the deployment's id, and where it is in doubt by whether a replica
answered: never by anything that a client or a replica sends. Requests that found no deployment have no name
and are counted together.

An ordinary request touches two counters. What is upgraded (status 101) is not counted here.

| counter | adds                                   | of requests that         | labelled also by            |
|---------|----------------------------------------|--------------------------|-----------------------------|
| ended   | 1                                      | ended                    | answered, where in doubt    |
| us      | microseconds from first to last byte   | ended with the last byte | answered, where in doubt    |
| errors  | 1                                      | ended with 500 or higher | answered                    |
| cut_ms  | whole milliseconds until they were cut | ended with a flag        | answered, ended all the same |

Whether a replica answered is in doubt from status 400 on, and where there is none (0, its client went away).
With a lower one a replica did: what Envoy says itself is an error. Not to look costs fewer instructions.

Envoy knows the microseconds of an answer only when its last byte went out. What was cut before is in
`cut_ms`.
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
_DEPLOYMENT: Final = "%ROUTE_NAME%"
_OF: Final = f"{_DEPLOYMENT},{_ANSWERED}"

_LOGGER: Final = "envoy.access_loggers.stats"
_TYPES: Final = "type.googleapis.com/"


def _status(op: str, code: int) -> dict[str, Any]:
    value = {"default_value": code, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}


def _all_of(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"and_filter": {"filters": list(conditions)}}


_UPGRADED: Final = 101
# Each request but an upgraded one meets just one of the next two conditions.
_IS_ORDINARY: Final = _all_of(_status("LE", 399), _status("GE", _UPGRADED + 1))
_IS_IN_DOUBT: Final[dict[str, Any]] = {
    "or_filter": {"filters": [_status("GE", 400), _status("LE", _UPGRADED - 1)]}
}
_IS_NO_UPGRADE: Final = _status("NE", _UPGRADED)
_HAS_A_FLAG: Final[dict[str, Any]] = {"response_flag_filter": {"flags": []}}


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
    _logger(
        _IS_ORDINARY,
        _counter(Count.ENDED, label=_DEPLOYMENT),
        _counter(Count.MICROSECONDS, _DURATION, label=_DEPLOYMENT),
    ),
    _logger(_IS_IN_DOUBT, _counter(Count.ENDED), _counter(Count.MICROSECONDS, _DURATION)),
    _logger(_status("GE", 500), _counter(Count.ERRORS)),
    _logger(
        _all_of(_HAS_A_FLAG, _IS_NO_UPGRADE),
        _counter(Count.CUT_MILLISECONDS, "%DURATION%", label=f"{_OF},{_COMPLETE}"),
    ),
)
"""Of the listener's connection manager."""


_PLACES: Final[Mapping[tuple[str, ...], int]] = MappingProxyType(
    {
        (Count.ENDED,): 0,
        (Count.ENDED, _YES): 1,
        (Count.ENDED, ""): 2,
        (Count.ERRORS, _YES): 3,
        (Count.MICROSECONDS,): 4,
        (Count.MICROSECONDS, _YES): 5,
        (Count.CUT_MILLISECONDS, _YES, ""): 6,
    }
)
"""The counters that are read, by what follows a deployment's id in their label, each with its place."""
PLACES: Final = len(_PLACES)
"""How many counters a deployment has."""


def place_of(name: str, label: str) -> tuple[str, int] | None:
    """The deployment that a counter is of, and its place; None for one that is not read."""
    prefix, _, count = name.partition(".")
    deployment_id, *rest = label.split(",")
    place = _PLACES.get((count, *rest))
    return (deployment_id, place) if prefix == PREFIX and deployment_id and place is not None else None


def request_totals(deployment_id: str, values: Sequence[int]) -> RequestTotals:
    """values: one for each place."""
    ordinary, answered, unanswered, errors, ordinary_us, answered_us, cut_ms = values
    return RequestTotals(
        deployment_id=deployment_id,
        answered=ordinary + answered,
        unanswered=unanswered,
        server_errors=errors,
        duration_us=ordinary_us + answered_us + cut_ms * 1000,
    )
