"""What was said of one resource type on one Envoy's stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.router.xds.types import Packed, ResourceType


@dataclass(slots=True)
class Channel:
    """One resource type of the stream, each by resource name.

    is_subscribed: Envoy has asked for the type. is_answered: it has had a first response.
    names: what it asks for by name. sent: the version it was last given. settled: the version it last gave
    an answer to. acknowledged: the version it last accepted. alone: to be sent in a response of its own.
    """

    is_subscribed: bool = False
    is_answered: bool = False
    names: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    alone: set[str] = field(default_factory=set)

    def has_sent(self, name: str, packed: Packed) -> bool:
        return self.sent.get(name) == packed.version

    def has_settled(self, name: str, packed: Packed) -> bool:
        return self.settled.get(name) == packed.version

    def forget(self, name: str) -> None:
        for versions in (self.sent, self.settled, self.acknowledged):
            versions.pop(name, None)


@dataclass(frozen=True, slots=True)
class Pending:
    """A response that has no answer yet. versions: by name; None for a removal."""

    type: ResourceType
    versions: Mapping[str, str | None]
    sent_at: float
