"""Metrics: instruments by name, as `instruments.py` has them. Nothing is counted for nobody."""

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.metrics import Counter as OtelCounter
from opentelemetry.metrics import Histogram as OtelHistogram

from libs.common.clock import monotonic
from libs.common.telemetry.busiest import Busiest
from libs.common.telemetry.instruments import DEPLOYMENT, INSTRUMENTS, OTHER, Instrument

_METER = "specstream"
EXPORT_INTERVAL_MS = 5_000
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Where the buckets of a histogram of seconds end: OpenTelemetry's own are for milliseconds."""
MOST_DEPLOYMENTS = 200
"""With series of their own, unless the settings say otherwise."""
NONE: Mapping[str, str] = {}
Ask = Callable[[], float | None]
"""Gives a value when somebody reads it; None where it is not known."""


class _State:
    """Of this process. busiest: one for all instruments, so that the same deployments have a name in each."""

    def __init__(self) -> None:
        self.busiest = Busiest(MOST_DEPLOYMENTS)
        self.gauges: dict[str, Gauge] = {}
        self.is_read = False


_state = _State()


def start_metrics(
    service: str,
    otlp_endpoint: str | None,
    registry: Any = None,
    *,
    deployments: int = MOST_DEPLOYMENTS,
    process: str = "",
) -> None:
    """Without an endpoint the instruments count for nobody and cost next to nothing.

    registry: of prometheus_client, from which they are read; then none are sent. deployments: how many have
    series of their own. process: tells it from others of its service; empty for the first one.
    """
    _state.busiest = Busiest(deployments)
    _state.is_read = bool(otlp_endpoint) or registry is not None
    if not _state.is_read:
        return
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - costs time, also where nobody counts
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    metrics.set_meter_provider(
        MeterProvider(
            metric_readers=[
                _scraped(registry, deployments)
                if registry is not None
                else _pushing(str(otlp_endpoint), deployments)
            ],
            resource=Resource.create(
                {"service.name": service} | ({"service.instance.id": process} if process else {})
            ),
            shutdown_on_exit=False,
        )
    )


def is_read() -> bool:
    """Whether anybody reads the metrics of this process; otherwise nothing need be worked out for them."""
    return _state.is_read


def _limits(deployments: int) -> dict[type, int]:
    """OpenTelemetry's own is 2,000 series; what is more it would put together into one of another name."""
    from opentelemetry.sdk.metrics import Counter, ObservableGauge  # noqa: PLC0415 - as above

    return dict.fromkeys((Counter, ObservableGauge), max(2_000, deployments + 1))


def _scraped(registry: Any, deployments: int) -> Any:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415

    return PrometheusMetricReader(
        scope_info_enabled=False, registry=registry, cardinality_limits=_limits(deployments)
    )


def _pushing(otlp_endpoint: str, deployments: int) -> Any:
    # Here, because gRPC would cost every process 15 MiB.
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415
        OTLPMetricExporter,
    )
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    exporter = OTLPMetricExporter(endpoint=otlp_endpoint, insecure=otlp_endpoint.startswith("http://"))
    return PeriodicExportingMetricReader(
        exporter, export_interval_millis=EXPORT_INTERVAL_MS, cardinality_limits=_limits(deployments)
    )


def stop_metrics() -> None:
    # The provider that is there without an endpoint has nothing to shut down.
    shutdown = getattr(metrics.get_meter_provider(), "shutdown", None)
    if shutdown is not None:
        shutdown()


class Counter:
    def __init__(self, name: str, counter: OtelCounter) -> None:
        self._instrument = INSTRUMENTS.get(name)
        self._counter = counter

    def add_each(self, amounts: Mapping[str, float]) -> None:
        """What came of each deployment since the last time, by its id."""
        for name, amount in _state.busiest.shared_out(amounts):
            self.add(amount, {"deployment_id": name})

    def add(self, amount: float, attributes: Mapping[str, str] = NONE) -> None:
        """Raises ValueError for attributes that the instrument does not have."""
        self._counter.add(amount, closed(self._instrument, attributes))


class Histogram:
    def __init__(self, name: str, histogram: OtelHistogram) -> None:
        self._instrument = INSTRUMENTS.get(name)
        self._histogram = histogram

    def record(self, value: float, attributes: Mapping[str, str] = NONE) -> None:
        """Raises ValueError for attributes that the instrument does not have."""
        self._histogram.record(value, closed(self._instrument, attributes))


class Gauge:
    """What is so now. A series that is not told any more ends, which none of a counter does."""

    def __init__(self, name: str) -> None:
        self._instrument = INSTRUMENTS.get(name)
        self._shown: Mapping[frozenset[tuple[str, str]], float | Ask] = {}
        """Replaced and never changed: it is read by the thread that sends it."""
        self._until = math.inf

    def tell(self, value: float | Ask | None, attributes: Mapping[str, str] = NONE) -> None:
        """value: also what is asked for it whenever somebody reads it, in any thread. None ends the series.

        Raises ValueError for attributes that the instrument does not have.
        """
        key = frozenset(closed(self._instrument, attributes).items())
        others = {known: shown for known, shown in self._shown.items() if known != key}
        self._shown = others if value is None else {**others, key: value}

    def tell_each(
        self,
        values: Mapping[str, float],
        *,
        together: Callable[[float, float], float] = operator.add,
        for_s: float = math.inf,
    ) -> None:
        """The value of every deployment, by its id, in place of all that was told before.

        together: what two deployments without a series of their own come to, such as `max`. for_s: so long it
        is shown, unless it is told again.
        """
        self._until = monotonic() + for_s
        self._shown = {
            frozenset((("deployment_id", name),)): value
            for name, value in _state.busiest.shared_out(values, together=together)
        }

    def observe(self, _: CallbackOptions) -> Iterator[Observation]:
        if monotonic() > self._until:
            return
        for attributes, shown in self._shown.items():
            value = shown() if callable(shown) else shown
            if value is not None:
                yield Observation(value, dict(attributes))


def closed(instrument: Instrument | None, attributes: Mapping[str, str]) -> Mapping[str, str]:
    """As it is counted: a value that is not in its closed set is `other`. One that nobody has written down
    is counted without attributes. Pure."""
    if instrument is None:
        return NONE
    allowed = instrument.attributes
    if attributes.keys() != allowed.keys():
        has = ", ".join(allowed) or "none"
        raise ValueError(f"{instrument.name} has the attributes {has}, not {', '.join(attributes) or 'none'}")
    return {
        name: value if allowed[name] == DEPLOYMENT or value in allowed[name] else OTHER
        for name, value in attributes.items()
    }


def counter(name: str, *, unit: str, description: str) -> Counter:
    """`name`, unit and description as `instruments.py` has them, which a test holds."""
    return Counter(name, metrics.get_meter(_METER).create_counter(name, unit=unit, description=description))


def gauge(name: str, *, unit: str, description: str) -> Gauge:
    """The same one for the same name, since each is asked for its value."""
    made = _state.gauges.get(name)
    if made is None:
        made = _state.gauges[name] = Gauge(name)
        metrics.get_meter(_METER).create_observable_gauge(
            name, callbacks=[made.observe], unit=unit, description=description
        )
    return made


def histogram(name: str, *, unit: str, description: str) -> Histogram:
    made = metrics.get_meter(_METER).create_histogram(
        name,
        unit=unit,
        description=description,
        explicit_bucket_boundaries_advisory=SECONDS if unit == "s" else None,
    )
    return Histogram(name, made)
