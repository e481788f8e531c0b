"""The event log on NATS JetStream."""

from libs.common.log.jetstream.log import JetStreamLog

__all__ = ["JetStreamLog"]
