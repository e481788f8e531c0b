"""Every instrument there is: what it counts, and the closed sets of its attributes. Pure data.

`docs/reference/metrics.md` is made of this, and a test holds that the code makes no other one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from libs.common.metrics.samples import Kind as SampleKind
from libs.common.scaling.cause import Cause
from libs.common.services import SERVICES

OTHER: Final = "other"
"""A value that is in no closed set, and every deployment that has no series of its own."""


DEPLOYMENT: Final[tuple[str, ...]] = ()


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
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


_XDS_TYPES = (
    "Cluster",
    "ClusterLoadAssignment",
    "Listener",
    "RouteConfiguration",
    "ScopedRouteConfiguration",
)

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
        "specstream.readmodels.transaction.duration",
        Kind.HISTOGRAM,
        "s",
        "How long a transaction that writes the read models took, its commit included",
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
        {"type": _XDS_TYPES},
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
        "specstream.autoscaler.at_ceiling_for",
        Kind.GAUGE,
        "s",
        "For how long its number has been the maximum of its spec; of others the longest",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.autoscaler.unknown_for",
        Kind.GAUGE,
        "s",
        "For how long something that it scales by has been unknown; of others the longest",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.autoscaler.direction_changes",
        Kind.GAUGE,
        "{change}",
        "How often its number changed direction in the last half hour; of others the most",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.autoscaler.decision_age",
        Kind.GAUGE,
        "s",
        "How long ago any deployment that scales by load was decided about, at most",
    ),
    Instrument(
        "specstream.deployment.cpu",
        Kind.GAUGE,
        "{core}",
        "Cores that its replicas use together",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.deployment.gpu",
        Kind.GAUGE,
        "%",
        "Use of GPUs by its replicas together; 100 is one whole GPU",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.deployment.in_flight",
        Kind.GAUGE,
        "{request}",
        "Requests and streams in flight",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.deployment.memory",
        Kind.GAUGE,
        "By",
        "Memory that its replicas use together, without the cache of files",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.deployment.wanted",
        Kind.GAUGE,
        "{replica}",
        "The number of replicas in force",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.deployment.ready",
        Kind.GAUGE,
        "{replica}",
        "Replicas that are ready and not about to leave",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.deployment.short_for",
        Kind.GAUGE,
        "s",
        "For how long fewer replicas have been ready than are wanted; of others the longest",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.lease.held",
        Kind.GAUGE,
        "{lease}",
        "Whether this copy leads: 1 or 0",
        {"service": tuple(SERVICES)},
    ),
    Instrument(
        "specstream.log.waiting",
        Kind.GAUGE,
        "{event}",
        "Events that are stored and that the service has not taken in yet",
        {"service": tuple(SERVICES)},
    ),
    Instrument(
        "specstream.work.waiting",
        Kind.GAUGE,
        "{message}",
        "Messages of a durable consumer that are not handled yet",
        {"service": tuple(SERVICES)},
    ),
    Instrument(
        "specstream.router.xds.push.duration",
        Kind.HISTOGRAM,
        "s",
        "How long it took from sending Envoy a response until it answered",
        {"type": _XDS_TYPES},
    ),
    Instrument(
        "specstream.requests.answered",
        Kind.COUNTER,
        "{request}",
        "Requests that a replica answered",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.requests.unanswered",
        Kind.COUNTER,
        "{request}",
        "Requests that got no replica's answer",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.requests.server_errors",
        Kind.COUNTER,
        "{request}",
        "Requests that a replica answered with a status of 500 or higher",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.requests.duration",
        Kind.COUNTER,
        "s",
        "From first byte to last, summed over the requests that a replica answered",
        {"deployment_id": DEPLOYMENT},
    ),
    Instrument(
        "specstream.samples.age",
        Kind.GAUGE,
        "s",
        "How long ago the autoscaler received the newest samples of a kind",
        {"kind": tuple(kind.value for kind in SampleKind)},
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
    unit = {"s": "_seconds", "By": "_bytes", "%": "_percent"}.get(instrument.unit, "")
    total = "_total" if instrument.kind is Kind.COUNTER else ""
    return f"{instrument.name.replace('.', '_')}{unit}{total}"
