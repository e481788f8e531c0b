"""One Envoy's stream: what it was told, what it has acknowledged, and what it is told next. No I/O.

The delta protocol: Envoy subscribes to types and names; we offer resources with versions under a nonce; it
acknowledges or rejects each nonce. On a new stream it says which versions it still has, and gets only what
differs from them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Final

from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    Resource,
)

from services.router.xds.channel import Channel, Pending
from services.router.xds.listener import LISTENER_NAME
from services.router.xds.resources import Resources, deployment_of_cluster, fresh_cluster
from services.router.xds.types import WILDCARDS, Packed, ResourceType

CHUNK: Final = 500
"""Resources in one response, so that 10,000 deployments stop neither Envoy's main thread nor our loop."""

_NOTHING: Final = Resources()
_Offer = tuple[str, Packed | None]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Envoy refused a response and goes on with what it had."""

    type: ResourceType
    names: tuple[str, ...]
    message: str


class Session:
    """The make-before-break order, for each deployment on its own:

    | the deployment                | is sent                   | once acknowledged             |
    |-------------------------------|---------------------------|-------------------------------|
    | has endpoints                 | cluster, endpoints        |                               |
    | leads to them                 |                           | scope                         |
    | would, and has none           | scope, removal of cluster |                               |
    | refuses                       | scope                     | endpoints, removal of cluster |
    | has no scope any more         | removal of scope          | endpoints, removal of cluster |

    So who is no longer served is refused at once, and never told that no replica is ready.

    Endpoints need no removal: Envoy itself unsubscribes from what nothing points to any more.
    """

    def __init__(
        self, resources: Mapping[str, Resources], listener: Packed, *, notify: Callable[[], None]
    ) -> None:
        """resources: of every deployment, by id; kept up by its owner. notify: called when there may be
        something to send."""
        self._resources = resources
        self._listener = listener
        self._notify = notify
        self._channels = {type_: Channel() for type_ in ResourceType}
        self._pending: dict[str, Pending] = {}
        self._nonces = count(1)
        self._dirty: set[str] = set()
        self._is_listener_dirty = False
        self._given_clusters: set[str] = set()
        self.node_id = ""
        self.answers = 0
        """How many responses have been acknowledged or rejected."""
        self.acknowledged_at: datetime | None = None
        self.listener_refusal = ""
        """Why Envoy refuses the listener; empty while it does not."""

    # What Envoy and the cache tell us

    def mark(self, name: str) -> None:
        """The resources of this deployment have changed."""
        self._dirty.add(name)
        self._notify()

    def receive(self, request: DeltaDiscoveryRequest, now: datetime) -> Rejection | None:
        """Take in a subscription, an acknowledgement or a rejection, which is returned; one of the listener
        only the first time for each reason."""
        if request.HasField("node"):
            self.node_id = request.node.id
        try:
            type_ = ResourceType(request.type_url)
        except ValueError:
            return None
        rejection = self._settle(request, now)
        self._subscribe(type_, request)
        self._notify()
        return rejection

    def _settle(self, request: DeltaDiscoveryRequest, now: datetime) -> Rejection | None:
        pending = self._pending.pop(request.response_nonce, None)
        if pending is None:
            return None
        self.answers += 1
        channel = self._channels[pending.type]
        is_rejected = bool(request.error_detail.code or request.error_detail.message)
        if is_rejected and len(pending.versions) > 1:
            # One bad resource must not keep its neighbours from being acknowledged: each once more, alone.
            channel.alone.update(pending.versions)
            for name in pending.versions:
                channel.sent.pop(name, None)
        else:
            for name, version in pending.versions.items():
                _record(channel.settled, name, version)
                if not is_rejected:
                    _record(channel.acknowledged, name, version)
        self._dirty.update(pending.versions)
        message = request.error_detail.message if is_rejected else ""
        if pending.type is ResourceType.LISTENER:
            is_known, self.listener_refusal = self.listener_refusal == message, message
            if is_rejected and is_known:
                return None  # offered again, refused again
        if is_rejected:
            return Rejection(pending.type, tuple(sorted(pending.versions)), message)
        self.acknowledged_at = now
        return None

    def _subscribe(self, type_: ResourceType, request: DeltaDiscoveryRequest) -> None:
        channel = self._channels[type_]
        is_first = not channel.is_subscribed
        channel.is_subscribed = True
        for name, version in _held(type_, request).items():
            if type_ is ResourceType.ENDPOINTS and name in self._given_clusters:
                continue
            channel.sent[name] = channel.settled[name] = channel.acknowledged[name] = version
        for name in request.resource_names_subscribe:
            channel.names.add(name)
            if name not in request.initial_resource_versions:
                # Asked for again: given again, also when it is the same.
                channel.forget(name)
        for name in request.resource_names_unsubscribe:
            channel.names.discard(name)
            channel.forget(name)
        self._dirty.update(request.resource_names_subscribe)
        if is_first and type_ is ResourceType.LISTENER:
            self._is_listener_dirty = True
        if is_first and type_ in WILDCARDS:
            # A cluster that has to go waits until it is known which scopes Envoy has.
            self._dirty.update(self._resources, channel.sent, self._channels[ResourceType.CLUSTER].sent)

    def offer_listener_again(self) -> None:
        """If Envoy has refused it: the port that was taken then may be free now.

        The scopes go with it: Envoy has forgotten those that it had for a listener that it refused.
        """
        if not self.listener_refusal or self.pending_since() is not None:
            return
        self._channels[ResourceType.LISTENER].sent.pop(LISTENER_NAME, None)
        self._is_listener_dirty = True
        self._channels[ResourceType.SCOPE] = Channel(
            is_subscribed=self._channels[ResourceType.SCOPE].is_subscribed
        )
        self._notify()

    # What is known of Envoy

    def has_acknowledged(self, name: str) -> bool:
        """Whether Envoy routes by the present endpoints of this deployment."""
        resources = self._resources.get(name, _NOTHING)
        if resources.endpoints is None:
            return name not in self._channels[ResourceType.CLUSTER].acknowledged and self.is_serving
        return self._channels[ResourceType.ENDPOINTS].acknowledged.get(name) == resources.endpoints.version

    @property
    def is_serving(self) -> bool:
        """Whether Envoy has accepted the listener."""
        return self._channels[ResourceType.LISTENER].acknowledged.get(LISTENER_NAME) == self._listener.version

    @property
    def may_serve(self) -> bool:
        """Whether Envoy has a listener, present or earlier. Until then no request reaches it."""
        return LISTENER_NAME in self._channels[ResourceType.LISTENER].acknowledged

    def sent(self, nonce: str) -> Pending | None:
        """The response that an answer with this nonce is to; None where it is none, or was answered."""
        return self._pending.get(nonce)

    def pending_since(self) -> float | None:
        """When the oldest response without an answer was sent, in ticks; None when all are answered."""
        return min((pending.sent_at for pending in self._pending.values()), default=None)

    # What Envoy is told

    def responses(self, now: float) -> Iterator[DeltaDiscoveryResponse]:
        """What is to be sent now, in order. What has to wait comes after the acknowledgement it waits for.

        now: in ticks.
        """
        scopes = self._channels[ResourceType.SCOPE]
        is_opening = scopes.is_subscribed and not scopes.is_answered
        offers = self._plan(is_opening=is_opening)
        if is_opening and not self._can_open():
            offers.pop(ResourceType.SCOPE, None)
            waits = {ResourceType.SCOPE}
        else:
            waits = set()
        for type_ in ResourceType:
            channel = self._channels[type_]
            if type_ in offers:
                yield from self._respond(type_, offers[type_], now)
            elif type_ in WILDCARDS - waits and channel.is_subscribed and not channel.is_answered:
                # Envoy waits for a first answer, also when there is nothing to say.
                yield self._response(type_, [], now)

    def _can_open(self) -> bool:
        """The first scopes let Envoy open its listener: then every deployment has to be in place."""
        return all(self._is_made(name, wanted) for name, wanted in self._resources.items() if wanted.scope)

    def _plan(self, *, is_opening: bool) -> dict[ResourceType, list[_Offer]]:
        names, self._dirty = self._dirty, set()
        if is_opening:
            # What had to wait before: first scopes, and the removal of those that a reconnected Envoy has.
            names |= self._resources.keys() | self._channels[ResourceType.SCOPE].sent.keys()
        offers: dict[ResourceType, list[_Offer]] = {}
        for name in names:
            for type_, packed in self._next(name):
                offers.setdefault(type_, []).append((name, packed))
        if self._is_listener_dirty:
            self._is_listener_dirty = False
            if not self._channels[ResourceType.LISTENER].has_sent(LISTENER_NAME, self._listener):
                offers[ResourceType.LISTENER] = [(LISTENER_NAME, self._listener)]
        return offers

    def _next(self, name: str) -> Iterator[tuple[ResourceType, Packed | None]]:
        """What one deployment is sent now, as far as it is not waiting for an answer."""
        wanted = self._resources.get(name, _NOTHING)
        clusters, endpoints = self._channels[ResourceType.CLUSTER], self._channels[ResourceType.ENDPOINTS]
        scopes, routes = self._channels[ResourceType.SCOPE], self._channels[ResourceType.ROUTE]
        if wanted.cluster and wanted.endpoints:
            if clusters.is_subscribed and not clusters.has_sent(name, wanted.cluster):
                # A cluster that is given anew waits for its endpoints, also when they are the same.
                endpoints.forget(name)
                self._given_clusters.add(name)
                yield ResourceType.CLUSTER, wanted.cluster
            is_due = name in endpoints.names and not endpoints.has_sent(name, wanted.endpoints)
            if is_due and not self._is_served_still(name, wanted):
                yield ResourceType.ENDPOINTS, wanted.endpoints
        if wanted.route and name in routes.names and not routes.has_sent(name, wanted.route):
            yield ResourceType.ROUTE, wanted.route
        if wanted.scope:
            is_due = scopes.is_subscribed and not scopes.has_sent(name, wanted.scope)
            if is_due and (not wanted.is_served or self._is_made(name, wanted)):
                yield ResourceType.SCOPE, wanted.scope
        elif name in scopes.sent:
            yield ResourceType.SCOPE, None
            return
        has_to_go = wanted.cluster is None and name in clusters.sent
        # Before it subscribes it is unknown which scopes a reconnected Envoy has.
        if has_to_go and scopes.is_subscribed and not self._is_served_still(name, wanted):
            yield ResourceType.CLUSTER, None

    def _is_served_still(self, name: str, wanted: Resources) -> bool:
        """Whether Envoy may go on sending requests to what is not to be served any more."""
        if wanted.is_served:
            return False
        scopes = self._channels[ResourceType.SCOPE]
        return name in scopes.acknowledged and not (wanted.scope and scopes.has_settled(name, wanted.scope))

    def _is_made(self, name: str, wanted: Resources) -> bool:
        """Whether what the route points to is in place, or refused, which waiting would not mend."""
        return (
            wanted.cluster is None
            or wanted.endpoints is None
            or (
                self._channels[ResourceType.CLUSTER].has_settled(name, wanted.cluster)
                and self._channels[ResourceType.ENDPOINTS].has_settled(name, wanted.endpoints)
            )
        )

    def _respond(
        self, type_: ResourceType, offers: list[_Offer], now: float
    ) -> Iterator[DeltaDiscoveryResponse]:
        channel = self._channels[type_]
        alone = [offer for offer in offers if offer[0] in channel.alone]
        together = [offer for offer in offers if offer[0] not in channel.alone]
        channel.alone.clear()
        # All first scopes at once, since they let the listener open.
        size = len(together) if type_ is ResourceType.SCOPE else CHUNK
        for start in range(0, len(together), size or 1):
            yield self._response(type_, together[start : start + size], now)
        for offer in alone:
            yield self._response(type_, [offer], now)

    def _response(self, type_: ResourceType, offers: list[_Offer], now: float) -> DeltaDiscoveryResponse:
        channel = self._channels[type_]
        channel.is_answered = True
        response = DeltaDiscoveryResponse(type_url=type_, nonce=str(next(self._nonces)))
        for name, packed in offers:
            if packed is None:
                response.removed_resources.append(name)
                if type_ is ResourceType.CLUSTER:
                    response.removed_resources.append(fresh_cluster(name))
                channel.sent.pop(name, None)
            else:
                response.resources.append(Resource(name=name, version=packed.version, resource=packed.body))
                if packed.second is not None:
                    second = fresh_cluster(name)
                    response.resources.append(
                        Resource(name=second, version=packed.version, resource=packed.second)
                    )
                channel.sent[name] = packed.version
        versions = {name: packed.version if packed else None for name, packed in offers}
        self._pending[response.nonce] = Pending(type_, versions, now)
        return response


def _held(type_: ResourceType, request: DeltaDiscoveryRequest) -> Mapping[str, str]:
    """What Envoy still has from an earlier stream, by name. Of a deployment's two clusters only the first is
    named; where it has not both in the same version it is given a version that nothing has, so that both are
    sent again, or removed."""
    versions: Mapping[str, str] = request.initial_resource_versions
    if type_ is not ResourceType.CLUSTER:
        return versions
    names = {deployment_of_cluster(name) for name in versions}
    return {
        name: version if (version := versions.get(name, "")) == versions.get(fresh_cluster(name)) else ""
        for name in names
    }


def _record(versions: dict[str, str], name: str, version: str | None) -> None:
    if version is None:
        versions.pop(name, None)
    else:
        versions[name] = version
