"""Every instrument there is: what it counts, and the closed sets of its attributes. Pure data.

`docs/reference/metrics.md` is made of this, and a test holds that the code makes no other one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from libs.common.metrics.samples import Kind as SampleKind
from libs.common.scaling.hpa_decision import Cause
from libs.common.services import SERVICES

OTHER: Final = "other"
"""A value that is in no closed set, and every deployment that has no series of its own."""


DEPLOYMENT: Final[tuple[str, ...]] = ()


class Kind(StrEnum):
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Instrument:
    """name: by OpenTelemetry's conventions. attributes: the values that each may have, besides `other`; the
    empty set stands for a deployment's id, as far as it has a series of its own."""

    name: str
    kind: Kind
    unit: str
    description: str
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_ALL = (
    Instrument(
        "specstream.bus.errors",
        Kind.COUNTER,
        "{error}",
        "Errors that the broker reported",
        {"service": tuple(SERVICES)},
    ),
    Instrument(
        "specstream.health.probes",
        Kind.COUNTER,
        "{probe}",
        "Probe attempts by check and outcome",
        {
            "check": ("startup", "readiness", "liveness", "port"),
            "outcome": ("success", "failure", "probererror"),
        },
    ),
    Instrument(
        "specstream.health.probe.duration",
        Kind.HISTOGRAM,
        "s",
        "How long an attempt of a check took",
        {"form": ("http", "port", "exec")},
    ),
    Instrument(
        "specstream.health.failed_probes",
        Kind.COUNTER,
        "{probe}",
        "Probe attempts that failed, by deployment",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.log.append.duration",
        Kind.HISTOGRAM,
        "s",
        "How long an append took, until its outcome was known",
        {"service": tuple(SERVICES), "outcome": ("stored", "conflict", "unavailable", "failed")},
    ),
    Instrument(
        "specstream.log.unread_events",
        Kind.COUNTER,
        "{event}",
        "Events read that this version does not understand, or only in part",
    ),
    Instrument(
        "specstream.router.xds.rejections",
        Kind.COUNTER,
        "{response}",
        "Responses that Envoy refused",
        {
            "type": (
                "Cluster",
                "ClusterLoadAssignment",
                "Listener",
                "RouteConfiguration",
                "ScopedRouteConfiguration",
            )
        },
    ),
    Instrument(
        "specstream.autoscaler.decisions",
        Kind.COUNTER,
        "{decision}",
        "Decisions of how many replicas there should be, by what became of them",
        {
            "stored": ("appended", "conflict", "too_old", "not_leading"),
            "reason": tuple(cause.value for cause in Cause),
        },
    ),
    Instrument(
        "specstream.autoscaler.unknown",
        Kind.COUNTER,
        "{decision}",
        "Decisions in which something that a policy goes by was not known",
    ),
    Instrument(
        "specstream.samples.dropped",
        Kind.COUNTER,
        "{sample}",
        "Measurements that cannot be right",
        {"reason": ("not_finite", "negative", "too_much", "future")},
    ),
    Instrument(
        "specstream.samples.lost",
        Kind.COUNTER,
        "{batch}",
        "Batches of samples that METRICS did not take",
        {"kind": tuple(kind.value for kind in SampleKind)},
    ),
    Instrument(
        "specstream.samples.rejected",
        Kind.COUNTER,
        "{message}",
        "Messages of METRICS that are no samples",
    ),
)

INSTRUMENTS: Final[Mapping[str, Instrument]] = {each.name: each for each in _ALL}


def prometheus_name(instrument: Instrument) -> str:
    """As OpenTelemetry's exporter calls its series; a histogram's end with `_bucket`, `_sum` and `_count`."""
    unit = "_seconds" if instrument.unit == "s" else ""
    total = "_total" if instrument.kind is Kind.COUNTER else ""
    return f"{instrument.name.replace('.', '_')}{unit}{total}"
