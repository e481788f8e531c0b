"""What crosses between the account of the streams and that of the mirror for other systems. Pure data."""

from collections.abc import Mapping

from libs.common.bus.subjects import EVENTS_STREAM

MOST_CONSUMERS = 100
"""Of other systems, together."""

_CREATE = f"$JS.API.CONSUMER.CREATE.{EVENTS_STREAM}"

API = "platform.API"
"""How the mirror's account, which has a JetStream of its own, calls that of the platform."""

REQUESTS = (_CREATE, f"$JS.FC.{EVENTS_STREAM}.>", f"$JS.FC.*.*.{EVENTS_STREAM}.>")
"""What the mirror asks of the stream: a consumer, and more when it has taken in what came."""

LOCAL_NAMES: Mapping[str, str] = {_CREATE: _CREATE.replace("$JS.API", API)}
"""What the mirror's account calls otherwise."""

DELIVER = "mirrored"
"""Below it the consumer that feeds the mirror delivers."""
