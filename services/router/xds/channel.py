"""What was said of one resource type on one Envoy's stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.router.xds.types import Packed, ResourceType


@dataclass(slots=True)
class Channel:
    """One resource type of the stream, each by resource name."""

    is_subscribed: bool = False
    """Whether Envoy has asked for the type."""
    is_answered: bool = False
    """Whether it has had a first response."""
    names: set[str] = field(default_factory=set)
    """What it asks for by name."""
    sent: dict[str, str] = field(default_factory=dict)
    """The version it was last given."""
    settled: dict[str, str] = field(default_factory=dict)
    """The version it last gave an answer to."""
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The version it last accepted."""
    alone: set[str] = field(default_factory=set)
    """Names of the resources to be sent in a response of its own."""

    def has_sent(self, name: str, packed: Packed) -> bool:
        return self.sent.get(name) == packed.version

    def has_settled(self, name: str, packed: Packed) -> bool:
        return self.settled.get(name) == packed.version

    def forget(self, name: str) -> None:
        for versions in (self.sent, self.settled, self.acknowledged):
            versions.pop(name, None)


@dataclass(frozen=True, slots=True)
class Pending:
    """A response that has no answer yet."""

    type: ResourceType
    versions: Mapping[str, str | None]
    """By name; None for a removal."""
    sent_at: float
