"""The event log on NATS JetStream."""

from libs.common.log.jetstream.log import JetStreamLog
from libs.common.log.jetstream.opening import open_log

__all__ = ["JetStreamLog", "open_log"]
