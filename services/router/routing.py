"""Where the requests of a deployment go, as values. Pure; `xds/resources.py` says it in Envoy's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from libs.common.cluster.addresses import LOCAL, Addresses
from libs.common.events.replica import Replica, ReplicaState
from libs.common.services import ROUTER
from libs.common.state.deployment import DeploymentState
from libs.common.state.view import DeploymentView


class Health(StrEnum):
    """HEALTHY gets requests; the others get none, and what runs on them goes on."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    """Was ready and is not now."""
    DRAINING = "draining"
    """Is to leave."""


class Refusal(StrEnum):
    """Why a known deployment serves nothing; the `error_code` of its 404."""

    DISABLED = "deployment_disabled"
    STOPPED = "deployment_stopped"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica as a target."""

    address: str
    """`host:port`."""
    replica_id: str
    spec_id: str
    """The newest spec that its run carries out."""
    health: Health


@dataclass(frozen=True, slots=True)
class Route:
    """What the deployment's host answers."""

    spec_id: str
    """The newest registered spec."""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    deployment_id: str
    route: Route | None = None
    """None when the host is unknown."""
    endpoints: tuple[Endpoint, ...] = ()


def make_routing(view: DeploymentView, addresses: Addresses = LOCAL, router: str = ROUTER) -> Routing:
    """Routes and endpoints of one deployment, as the router of this name makes them.

    | deployment         | route                        |
    |--------------------|------------------------------|
    | unknown or deleted | none: `deployment_not_found` |
    | disabled           | 404 `deployment_disabled`    |
    | wants 0 replicas   | 404 `deployment_stopped`     |
    | wants 1 or more    | its cluster                  |

    There is a cluster exactly while there are endpoints. It outlives a route that no longer leads to it,
    because requests are still running there.
    """
    endpoints = make_endpoints(view, addresses, router)
    deployment = view.deployment
    if deployment is None or not deployment.exists or deployment.spec is None or deployment.spec_id is None:
        return Routing(view.deployment_id, None, endpoints)
    return Routing(view.deployment_id, Route(deployment.spec_id, _refusal(view, deployment)), endpoints)


def _refusal(view: DeploymentView, deployment: DeploymentState) -> Refusal | None:
    if view.wanted_replicas > 0:
        return None
    if deployment.spec and not deployment.spec.enabled:
        return Refusal.DISABLED
    return Refusal.STOPPED


def make_endpoints(
    view: DeploymentView, addresses: Addresses = LOCAL, router: str = ROUTER
) -> tuple[Endpoint, ...]:
    """The targets of a deployment, at most one for each address, ordered by replica id.

    | replica                    | ready | ever ready | endpoint  |
    |----------------------------|-------|------------|-----------|
    | withdrawn by this router,  | any   | any        | none      |
    | or no address              |       |            |           |
    | an address that none of    | any   | any        | none      |
    | this cluster's can have    |       |            |           |
    | retiring                   | any   | yes        | draining  |
    | retiring                   | no    | no         | none      |
    | other                      | yes   | yes        | healthy   |
    | other                      | no    | yes        | unhealthy |
    | other                      | no    | no         | none      |

    One that was ever ready stays an endpoint until it is withdrawn: Envoy forgets how many requests are
    active on an address that leaves, and would then report a busy replica as idle.
    A port that a dead replica had may be another's by now; then the one that serves has the address.
    """
    by_address: dict[str, Endpoint] = {}
    withdrawn, specs = view.traffic.withdrawn_by(router), _specs(view)
    for replica in sorted(view.roster.replicas, key=lambda r: r.replica_id):
        address = replica.address
        if address is None or replica.replica_id in withdrawn or address not in addresses:
            continue
        health = _health(view, replica)
        if health is None:
            continue
        if address not in by_address or health is Health.HEALTHY:
            spec_id = specs.get(replica.run_id, replica.spec_id)
            by_address[address] = Endpoint(address, replica.replica_id, spec_id, health)
    return tuple(sorted(by_address.values(), key=lambda e: e.replica_id))


def _health(view: DeploymentView, replica: Replica) -> Health | None:
    is_ready = replica.state is ReplicaState.RUNNING
    if not is_ready and replica.ready_at is None:
        return None
    if replica.replica_id in view.rollout.retiring:
        return Health.DRAINING
    return Health.HEALTHY if is_ready else Health.UNHEALTHY


def _specs(view: DeploymentView) -> Mapping[str, str]:
    """By run, the newest spec that its replicas carry out: a spec that keeps the run is carried out by them
    without a restart, so the one that a replica was created for is only the last resort."""
    deployment = view.deployment
    newest = (
        {deployment.run_id: deployment.spec_id}
        if deployment and deployment.run_id and deployment.spec_id
        else {}
    )
    return {**newest, **view.rollout.specs}


@dataclass(frozen=True, slots=True)
class Leaving:
    """A replica that is to leave and that this router has not withdrawn."""

    replica_id: str
    address: str | None
    """Where requests may be running on it."""


def make_leaving(
    view: DeploymentView, addresses: Addresses = LOCAL, router: str = ROUTER
) -> tuple[Leaving, ...]:
    """Who waits to be withdrawn by this router, by replica id.

    One that health has not listed is among them: it never gets a request, and the reconciler waits. What the
    reconciler has seen leave is not, as long as health does not list it either: a router that joins would
    otherwise have something to say of every deployment that there is.
    """
    waiting = view.rollout.retiring - view.traffic.withdrawn_by(router)
    if view.rollout.all_have_left:
        waiting &= view.roster.by_id.keys()
    if not waiting:
        return ()
    served = {endpoint.replica_id: endpoint.address for endpoint in make_endpoints(view, addresses, router)}
    return tuple(Leaving(replica_id, served.get(replica_id)) for replica_id in sorted(waiting))
