"""Every deployment's resources, and the Envoys that are to have them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from libs.common.domain import USUAL
from services.router.routing import Routing
from services.router.xds.resources import Resources, make_resources, refusing_resources
from services.router.xds.session import Session
from services.router.xds.types import Packed


class Cache:
    """What all Envoys should know now. A change costs the same however many deployments there are: only
    the one that changed is built, compared and offered.
    """

    def __init__(self, listener: Packed, *, domain: str = USUAL) -> None:
        """domain: that of every deployment's host name."""
        self._listener = listener
        self._domain = domain
        self._routings: dict[str, Routing] = {}
        self._resources: dict[str, Resources] = refusing_resources()
        self._sessions: dict[Session, None] = {}

    def put(self, routing: Routing) -> bool:
        """Take over the routing of one deployment; True if that changes anything."""
        name = routing.deployment_id
        is_empty = routing.route is None and not routing.endpoints
        if self._routings.get(name) == (None if is_empty else routing):
            return False
        if is_empty:
            del self._routings[name], self._resources[name]
        else:
            self._routings[name] = routing
            self._resources[name] = make_resources(routing, self._domain)
        for session in self._sessions:
            session.mark(name)
        return True

    def connect(self, *, notify: Callable[[], None]) -> Session:
        session = Session(self.resources, self._listener, notify=notify)
        self._sessions[session] = None
        return session

    def disconnect(self, session: Session) -> None:
        del self._sessions[session]

    @property
    def resources(self) -> Mapping[str, Resources]:
        return MappingProxyType(self._resources)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The Envoys that are connected now, oldest first."""
        return tuple(self._sessions)
