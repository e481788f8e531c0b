"""The resource types that the router serves, by their type URLs, and one packed resource."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import Message

_PREFIX = "type.googleapis.com/"


class ResourceType(StrEnum):
    """In the order in which a connection is served: what is pointed to before what points."""

    CLUSTER = _PREFIX + "envoy.config.cluster.v3.Cluster"
    ENDPOINTS = _PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
    LISTENER = _PREFIX + "envoy.config.listener.v3.Listener"
    SCOPE = _PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
    ROUTE = _PREFIX + "envoy.config.route.v3.RouteConfiguration"


WILDCARDS = frozenset({ResourceType.CLUSTER, ResourceType.LISTENER, ResourceType.SCOPE})
"""Types of which Envoy asks for all there are; of the others it asks by name."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A resource ready to send."""

    version: str
    """A hash of its content, so that a router that starts again gives an unchanged resource the version that
    Envoy already has."""
    body: PackedAny
    second: PackedAny | None = None
    """What goes with it, in the same response and under the same version, with a name of its own."""

    @classmethod
    def of(cls, message: Message, second: Message | None = None) -> Self:
        bodies = [_pack(one) for one in (message, second) if one is not None]
        content = b"".join(body.value for body in bodies)
        return cls(hashlib.blake2b(content, digest_size=8).hexdigest(), *bodies)


def _pack(message: Message) -> PackedAny:
    content = message.SerializeToString(deterministic=True)
    return PackedAny(type_url=_PREFIX + message.DESCRIPTOR.full_name, value=content)
