"""What the gauges of this process show to whoever reads them."""

from opentelemetry.metrics import CallbackOptions

from libs.common import telemetry
from libs.common.telemetry.instruments import INSTRUMENTS
from libs.common.telemetry.metrics import Gauge


def shown(gauge: Gauge | str) -> dict[tuple[str, ...], float]:
    """The values of a gauge, or of the one of this name, by its attributes."""
    if isinstance(gauge, str):
        known = INSTRUMENTS[gauge]
        gauge = telemetry.gauge(known.name, unit=known.unit, description=known.description)
    found = {}
    for one in gauge.observe(CallbackOptions()):
        assert one.attributes is not None
        found[tuple(str(value) for value in one.attributes.values())] = one.value
    return found
